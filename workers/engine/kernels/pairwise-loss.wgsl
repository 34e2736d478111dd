// loss = sum of weight * -log sigmoid(chosen - rejected); the first half of the scores are chosen, the second rejected.
struct Params { pairs: u32 }
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.pairs; i += 64u) {
    sum = fma(weight[i], softplus(scores[params.pairs + i] - scores[i]), sum);
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    loss[0] = all;
  }
}
