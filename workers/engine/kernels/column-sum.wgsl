// y (+)= sum of the rows first .. first + rows - 1 of x, in row order: the last stage of column reductions.
override ACCUMULATE: u32 = 0;
struct Params { first: u32, rows: u32, H: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> y: array<E>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.H / WIDTH;
  let h = (group.y * groups.x + group.x) * 64u + lane;
  if (h >= width) {
    return;
  }
  var sum = E(0.0);
  for (var row = 0u; row < params.rows; row++) {
    sum += x[(params.first + row) * width + h];
  }
  if (ACCUMULATE == 1u) {
    y[h] += sum;
  } else {
    y[h] = sum;
  }
}
