// norm = [sqrt(sum of partial), clip factor]; the factor is min(1, max_grad_norm / (norm + 1e-6)) as in
// torch.nn.utils.clip_grad_norm_, or 1 where max_grad_norm is 0. A norm that is not finite stays so.
struct Params { count: u32, max_grad_norm: f32 }
@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += 64u) {
    sum += partial[i];
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    let value = sqrt(all);
    norm[0] = value;
    // Written so that a NaN norm gives a NaN factor: weights must not go on from a broken gradient unnoticed.
    let factor = params.max_grad_norm / (value + 1e-6);
    norm[1] = select(factor, 1.0, params.max_grad_norm == 0.0 || factor > 1.0);
  }
}
