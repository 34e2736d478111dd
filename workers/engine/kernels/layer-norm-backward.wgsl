// d_x of layer norm by rows: rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = d_y * weight.
// As in layer-norm.wgsl.
override LANES: u32 = 64;
override ACCUMULATE: u32 = 0;
struct Params { R: u32, H: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> weight: array<E>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> d_y: array<E>;
@group(0) @binding(5) var<storage, read_write> d_x: array<E>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let wanted = (group.y * groups.x + group.x) * (64u / LANES) + lane / LANES;
  let row = min(wanted, params.R - 1u);
  let width = params.H / WIDTH;
  let first = row * width;
  let start = lane % LANES;
  let m = mean[row];
  let r = rstd[row];
  var plain = E(0.0);
  var crossed = E(0.0);
  for (var h = start; h < width; h += LANES) {
    let g = d_y[first + h] * weight[h];
    plain += g;
    crossed = fma(g, (x[first + h] - m) * r, crossed);
  }
  let means = row_total(vec2f(total(plain), total(crossed)), lane) / f32(params.H);
  if (wanted >= params.R) {
    return;
  }
  for (var h = start; h < width; h += LANES) {
    let xhat = (x[first + h] - m) * r;
    let gradient = r * (d_y[first + h] * weight[h] - means.x - xhat * means.y);
    if (ACCUMULATE == 1u) {
      d_x[first + h] += gradient;
    } else {
      d_x[first + h] = gradient;
    }
  }
}
