// From what token-logprob-chunk left in running [R, 4]: the target's log-probability, the entropy of the distribution, and
// the log-sum-exp of each row. All are 0 in rows without a target.
struct Params { R: u32 }
@group(0) @binding(0) var<storage, read> running: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<i32>;
@group(0) @binding(2) var<storage, read_write> logprob: array<f32>;
@group(0) @binding(3) var<storage, read_write> entropy: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= params.R) {
    return;
  }
  if (targets[row] < 0) {
    logprob[row] = 0.0;
    entropy[row] = 0.0;
    lse[row] = 0.0;
    return;
  }
  let peak = running[4u * row];
  let sum = running[4u * row + 1u];
  let log_sum = log(sum);
  lse[row] = peak + log_sum;
  // The difference first: both are large where logits are, their distance is not.
  logprob[row] = (running[4u * row + 3u] - peak) - log_sum;
  entropy[row] = log_sum - running[4u * row + 2u] / sum;
}
