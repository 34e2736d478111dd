// d_logprob (+)= d_loss * weight * -A r where the unclipped term is the larger one (or both are equal), else 0; see
// ppo-policy-loss.wgsl.
override ACCUMULATE: u32 = 0;
struct Params { R: u32, range: f32 }
@group(0) @binding(0) var<storage, read> logprob: array<f32>;
@group(0) @binding(1) var<storage, read> old_logprob: array<f32>;
@group(0) @binding(2) var<storage, read> advantage: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> d_loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_logprob: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let t = (group.y * groups.x + group.x) * 64u + lane;
  if (t >= params.R) {
    return;
  }
  let ratio = exp(logprob[t] - old_logprob[t]);
  let plain = -advantage[t] * ratio;
  let cut = -advantage[t] * clamp(ratio, 1.0 - params.range, 1.0 + params.range);
  let slope = d_loss[0] * weight[t] * select(0.0, plain, plain >= cut);
  if (ACCUMULATE == 1u) {
    d_logprob[t] += slope;
  } else {
    d_logprob[t] = slope;
  }
}
