// y = value. With ACCUMULATE there is nothing to do: what is there stays (value is then meant to be added to it: zero).
override ACCUMULATE: u32 = 0;
struct Params { N: u32, value: f32 }
@group(0) @binding(0) var<storage, read_write> y: array<E>;
@group(0) @binding(1) var<uniform> params: Params;

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
    if (params.value != 0.0) {
      y[i] += E(params.value);
    }
  } else {
    y[i] = E(params.value);
  }
}
