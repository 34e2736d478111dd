// d_scores (+)= +/- d_loss * weight * beta * (s sigmoid(d) - (1 - s) sigmoid(-d)) for chosen / rejected; see dpo-loss.wgsl.
override ACCUMULATE: u32 = 0;
struct Params { pairs: u32, beta: f32, label_smoothing: f32 }
@group(0) @binding(0) var<storage, read> logps: array<f32>;
@group(0) @binding(1) var<storage, read> reference: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> d_loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_scores: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.pairs) {
    return;
  }
  let j = params.pairs + i;
  let d = params.beta * ((logps[i] - reference[i]) - (logps[j] - reference[j]));
  let pull = params.label_smoothing * sigmoid(d) - (1.0 - params.label_smoothing) * sigmoid(-d);
  let slope = d_loss[0] * weight[i] * params.beta * pull;
  put(i, slope);
  put(j, -slope);
}
