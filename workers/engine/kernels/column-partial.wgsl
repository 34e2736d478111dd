// partial [ceil(R / ROWS), H] = sums of ROWS neighbouring rows of x [R, H], in row order.
const ROWS = 32u;
struct Params { R: u32, H: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> partial: array<E>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.H / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let first = i / width * ROWS;
  if (first >= params.R) {
    return;
  }
  var sum = E(0.0);
  for (var row = first; row < min(first + ROWS, params.R); row++) {
    sum += x[row * width + i % width];
  }
  partial[i] = sum;
}
