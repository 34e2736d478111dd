// lse [R] = log-sum-exp of each row, loss [1] = token_weight * sum of (lse - target's logit) over the rows with a target.
// running [R, 3] is what lm-loss-chunk left. One workgroup; rows in a fixed order, then a fixed tree.
struct Params { R: u32 }
@group(0) @binding(0) var<storage, read> running: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<i32>;
@group(0) @binding(2) var<storage, read> token_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> partial: array<f32, 128>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var row = lane; row < params.R; row += 128u) {
    let value = running[3u * row] + log(running[3u * row + 1u]);
    lse[row] = value;
    if (targets[row] >= 0) {
      sum += value - running[3u * row + 2u];
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var half = 64u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    loss[0] = partial[0] * token_weight[0];
  }
}
