// d_scores (+)= d_loss * weight * sigmoid(t), with t and L as in label-loss.wgsl.
override L: u32 = 1;
override ACCUMULATE: u32 = 0;
struct Params { B: u32 }
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
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
  let b = (group.y * groups.x + group.x) * 64u + lane;
  if (b >= params.B) {
    return;
  }
  let positive = labels[b] == 1;
  let scale = d_loss[0] * weight[b];
  // sign: the derivative of t by the (second) score.
  let sign = select(1.0, -1.0, positive);
  if (L == 1u) {
    put(b, scale * sign * sigmoid(sign * scores[b]));
  } else {
    let slope = scale * sign * sigmoid(sign * (scores[2u * b + 1u] - scores[2u * b]));
    put(2u * b, -slope);
    put(2u * b + 1u, slope);
  }
}
