// Turns one chunk of logits [R, N] into their gradient in place: d_logprob * scale * (onehot - softmax), zero in rows
// without a target. One workgroup a row.
struct Params { R: u32, N: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> lse: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<i32>;
@group(0) @binding(2) var<storage, read> d_logprob: array<f32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.R) {
    return;
  }
  let begin = row * params.N;
  if (targets[row] < 0) {
    for (var i = lane; i < params.N; i += 64u) {
      logits[begin + i] = 0.0;
    }
    return;
  }
  let factor = params.scale * d_logprob[row];
  let offset = targets[row] - i32(params.first);
  for (var i = lane; i < params.N; i += 64u) {
    let p = exp(params.scale * logits[begin + i] - lse[row]);
    logits[begin + i] = factor * select(-p, 1.0 - p, i32(i) == offset);
  }
}
