// y[r, first + n] = x[r, n]: x [R, N] becomes columns of y [R, W].
struct Params { R: u32, N: u32, W: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> y: array<E>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.N / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < params.R * width) {
    y[(i / width) * (params.W / WIDTH) + params.first / WIDTH + i % width] = x[i];
  }
}
