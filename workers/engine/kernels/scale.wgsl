// y = factor * x, or y += factor * x. E and WIDTH: see vector.ts.
override ACCUMULATE: u32 = 0;
struct Params { N: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> y: array<E>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.N / WIDTH) {
    return;
  }
  if (ACCUMULATE == 1u) {
    y[i] += params.factor * x[i];
  } else {
    y[i] = params.factor * x[i];
  }
}
