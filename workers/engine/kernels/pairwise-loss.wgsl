// loss = sum of weight * -log sigmoid(chosen - rejected); the first half of the scores are chosen, the second rejected.
struct Params { pairs: u32 }
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> partial: array<f32, 64>;
var<workgroup> eighths: array<f32, 8>;

// log(1 + exp(t)) to full relative accuracy, also where it is tiny: log1p by the series of atanh, since 1 + e rounds.
fn softplus(t: f32) -> f32 {
  let e = exp(-min(abs(t), 80.0));
  let s = e / (2.0 + e);
  let z = s * s;
  var series = fma(z, 1.0 / 15.0, 1.0 / 13.0);
  series = fma(z, series, 1.0 / 11.0);
  series = fma(z, series, 1.0 / 9.0);
  series = fma(z, series, 1.0 / 7.0);
  series = fma(z, series, 1.0 / 5.0);
  series = fma(z, series, 1.0 / 3.0);
  series = fma(z, series, 1.0);
  return max(t, 0.0) + 2.0 * s * series;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.pairs; i += 64u) {
    sum = fma(weight[i], softplus(scores[params.pairs + i] - scores[i]), sum);
  }
  partial[lane] = sum;
  workgroupBarrier();
  // Two levels: fewer barriers than a tree.
  if (lane < 8u) {
    var eighth = 0.0;
    for (var i = 0u; i < 8u; i++) {
      eighth += partial[8u * lane + i];
    }
    eighths[lane] = eighth;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var all = 0.0;
    for (var i = 0u; i < 8u; i++) {
      all += eighths[i];
    }
    loss[0] = all;
  }
}
