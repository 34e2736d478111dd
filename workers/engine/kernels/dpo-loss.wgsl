// loss = sum over pairs of weight * ((1 - s) softplus(-d) + s softplus(d)), s the label smoothing, d = beta times how much
// further the chosen text's log-probability has risen above the reference than the rejected one's.
struct Params { pairs: u32, beta: f32, label_smoothing: f32 }
@group(0) @binding(0) var<storage, read> logps: array<f32>;
@group(0) @binding(1) var<storage, read> reference: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.pairs; i += 64u) {
    let j = params.pairs + i;
    let d = params.beta * ((logps[i] - reference[i]) - (logps[j] - reference[j]));
    let smooth_loss = (1.0 - params.label_smoothing) * softplus(-d) + params.label_smoothing * softplus(d);
    sum = fma(weight[i], smooth_loss, sum);
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    loss[0] = all;
  }
}
