// y = (x - mean) / sqrt(variance + eps) * weight + bias by rows; variance in a second pass.
// LANES 64: a workgroup a row. LANES 1: a lane a row, without barriers, which software adapters are slow to run and to
// compile.
override LANES: u32 = 64;
struct Params { R: u32, H: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> weight: array<E>;
@group(0) @binding(2) var<storage, read> bias: array<E>;
@group(0) @binding(3) var<storage, read_write> y: array<E>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let wanted = (group.y * groups.x + group.x) * (64u / LANES) + lane / LANES;
  // Barriers must be reached by every lane: those beyond the last row repeat it and write nothing.
  let row = min(wanted, params.R - 1u);
  let width = params.H / WIDTH;
  let first = row * width;
  let start = lane % LANES;
  let scale = 1.0 / f32(params.H);
  var sum = E(0.0);
  for (var h = start; h < width; h += LANES) {
    sum += x[first + h];
  }
  let m = row_total(total(sum), lane) * scale;
  var squares = E(0.0);
  for (var h = start; h < width; h += LANES) {
    let d = x[first + h] - m;
    squares = fma(d, d, squares);
  }
  let r = 1.0 / sqrt(row_total(total(squares), lane) * scale + params.eps);
  if (wanted >= params.R) {
    return;
  }
  for (var h = start; h < width; h += LANES) {
    y[first + h] = (x[first + h] - m) * r * weight[h] + bias[h];
  }
  if (start == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
}
