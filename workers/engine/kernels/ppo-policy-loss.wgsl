// loss = sum over R tokens of weight * max(-A r, -A clamp(r, 1 - range, 1 + range)), r = exp(logprob - old_logprob), in a
// fixed order.
struct Params { R: u32, range: f32 }
@group(0) @binding(0) var<storage, read> logprob: array<f32>;
@group(0) @binding(1) var<storage, read> old_logprob: array<f32>;
@group(0) @binding(2) var<storage, read> advantage: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var t = lane; t < params.R; t += 64u) {
    let ratio = exp(logprob[t] - old_logprob[t]);
    let cut = clamp(ratio, 1.0 - params.range, 1.0 + params.range);
    sum = fma(weight[t], max(-advantage[t] * ratio, -advantage[t] * cut), sum);
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    loss[0] = all;
  }
}
