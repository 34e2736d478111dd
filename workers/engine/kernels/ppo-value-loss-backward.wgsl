// d_value (+)= d_loss * weight * (v - R) where the unclipped square is the larger one (or both are equal), else 0; see
// ppo-value-loss.wgsl.
override ACCUMULATE: u32 = 0;
struct Params { R: u32, range: f32 }
@group(0) @binding(0) var<storage, read> value: array<f32>;
@group(0) @binding(1) var<storage, read> old_value: array<f32>;
@group(0) @binding(2) var<storage, read> returns: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> d_loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_value: array<f32>;
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
  let error = value[t] - returns[t];
  let cut = clamp(value[t], old_value[t] - params.range, old_value[t] + params.range) - returns[t];
  let slope = d_loss[0] * weight[t] * select(0.0, error, error * error >= cut * cut);
  if (ACCUMULATE == 1u) {
    d_value[t] += slope;
  } else {
    d_value[t] = slope;
  }
}
