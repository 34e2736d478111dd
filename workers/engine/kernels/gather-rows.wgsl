// y[b] = x[index[b] - first]: rows of x [rows, H] for B indices; what lies outside of x is left to the other parts of the
// table. Also the embedding lookup, whose table may be f16.
struct Params { B: u32, H: u32, first: u32, rows: u32 }
@group(0) @binding(0) var<storage, read> x: array<WEIGHTS>;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.H / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.B * width) {
    return;
  }
  // Below `first` it wraps around to a row that does not exist.
  let row = u32(index[i / width]) - params.first;
  if (row < params.rows) {
    y[i] = E(x[row * width + i % width]);
  }
}
