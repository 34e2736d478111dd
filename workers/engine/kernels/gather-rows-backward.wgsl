// d_x[r] (+)= sum of d_y[b] over the b with index[b] == r, in order of b; rows that nobody gathered get zero.
override ACCUMULATE: u32 = 0;
struct Params { R: u32, B: u32, H: u32 }
@group(0) @binding(0) var<storage, read> index: array<i32>;
@group(0) @binding(1) var<storage, read> d_y: array<E>;
@group(0) @binding(2) var<storage, read_write> d_x: array<E>;
@group(0) @binding(3) var<uniform> params: Params;

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
  let row = i32(i / width);
  var sum = E(0.0);
  for (var b = 0u; b < params.B; b++) {
    if (index[b] == row) {
      sum += d_y[b * width + i % width];
    }
  }
  if (ACCUMULATE == 1u) {
    d_x[i] += sum;
  } else {
    d_x[i] = sum;
  }
}
