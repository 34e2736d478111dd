// y = (x - mean) / sqrt(variance + eps) * weight + bias; one workgroup a row, variance in a second pass.
struct Params { R: u32, H: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> weight: array<E>;
@group(0) @binding(2) var<storage, read> bias: array<E>;
@group(0) @binding(3) var<storage, read_write> y: array<E>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> partial: array<f32, 64>;

// Sum over the workgroup in a fixed tree; every lane gets it.
fn reduce(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  // Uniform for the workgroup, so the barriers below stay legal.
  if (row >= params.R) {
    return;
  }
  let width = params.H / WIDTH;
  let first = row * width;
  let scale = 1.0 / f32(params.H);
  var sum = E(0.0);
  for (var h = lane; h < width; h += 64u) {
    sum += x[first + h];
  }
  let m = reduce(total(sum), lane) * scale;
  var squares = E(0.0);
  for (var h = lane; h < width; h += 64u) {
    let d = x[first + h] - m;
    squares = fma(d, d, squares);
  }
  let r = 1.0 / sqrt(reduce(total(squares), lane) * scale + params.eps);
  for (var h = lane; h < width; h += 64u) {
    y[first + h] = (x[first + h] - m) * r * weight[h] + bias[h];
  }
  if (lane == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
}
