// d_weight[ids[r] - first] (+)= sum of d_y over all occurrences of that id, in order. Rows that do not occur are not
// touched; ids outside of the `rows` of d_weight are left to the other parts of the table.
override ACCUMULATE: u32 = 0;
struct Params { R: u32, H: u32, first: u32, rows: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read> links: array<i32>;
@group(0) @binding(2) var<storage, read> d_y: array<E>;
@group(0) @binding(3) var<storage, read_write> d_weight: array<E>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.H / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.R * width) {
    return;
  }
  var r = i / width;
  let h = i % width;
  let row = u32(ids[r]) - params.first;
  if (links[2u * r] == 0 || row >= params.rows) {
    return;
  }
  let target_row = row * width + h;
  var sum = E(0.0);
  while (r < params.R) {
    sum += d_y[r * width + h];
    r = u32(links[2u * r + 1u]);
  }
  if (ACCUMULATE == 1u) {
    d_weight[target_row] += sum;
  } else {
    d_weight[target_row] = sum;
  }
}
