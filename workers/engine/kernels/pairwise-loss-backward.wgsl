// d_scores (+)= -/+ d_loss * weight * sigmoid(rejected - chosen) for chosen / rejected.
override ACCUMULATE: u32 = 0;
struct Params { pairs: u32 }
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> d_loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_scores: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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
  let slope = d_loss[0] * weight[i] * sigmoid(scores[params.pairs + i] - scores[i]);
  put(i, -slope);
  put(params.pairs + i, slope);
}
