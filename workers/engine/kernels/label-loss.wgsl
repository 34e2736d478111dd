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
  let all = total64(sum, lane);
  if (lane == 0u) {
    loss[0] = all;
  }
}
