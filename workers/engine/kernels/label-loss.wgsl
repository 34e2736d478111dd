// loss = sum of weight * softplus(t) over B labelled texts, in a fixed order.
// L 1: t = -score where the label is 1, score where it is 0 (BCE with logits).
// L 2: t = the other logit minus the label's (cross-entropy over two logits).
override L: u32 = 1;
struct Params { B: u32 }
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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
  for (var b = lane; b < params.B; b += 64u) {
    let positive = labels[b] == 1;
    var t: f32;
    if (L == 1u) {
      t = select(scores[b], -scores[b], positive);
    } else {
      let difference = scores[2u * b + 1u] - scores[2u * b];
      t = select(difference, -difference, positive);
    }
    sum = fma(weight[b], softplus(t), sum);
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
