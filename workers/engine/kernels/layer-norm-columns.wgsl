// First stage of layer norm's d_weight and d_bias: sums over ROWS rows at a time, in row order.
// partial holds the chunks' sums of d_y * xhat, then the chunks' sums of d_y.
override ROWS: u32 = 32;
struct Params { R: u32, H: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> d_y: array<E>;
@group(0) @binding(4) var<storage, read_write> partial: array<E>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.H / WIDTH;
  let chunks = (params.R + ROWS - 1u) / ROWS;
  let item = (group.y * groups.x + group.x) * 64u + lane;
  if (item >= chunks * width) {
    return;
  }
  let h = item % width;
  let chunk = item / width;
  let end = min(params.R, (chunk + 1u) * ROWS);
  var crossed = E(0.0);
  var plain = E(0.0);
  for (var row = chunk * ROWS; row < end; row++) {
    let g = d_y[row * width + h];
    plain += g;
    crossed = fma(g, (x[row * width + h] - mean[row]) * rstd[row], crossed);
  }
  partial[chunk * width + h] = crossed;
  partial[(chunks + chunk) * width + h] = plain;
}
