// One AdamW step over a flat range, in the order of torch.optim.AdamW. What varies by step comes in buffers:
// scalars = [lr / (1 - beta1^t), sqrt(1 - beta2^t), 1 - lr * weight_decay], norm[1] = the clip factor.
struct Params { N: u32, beta2: f32, one_minus_beta1: f32, one_minus_beta2: f32, eps: f32 }
@group(0) @binding(0) var<storage, read_write> weight: array<E>;
@group(0) @binding(1) var<storage, read> grad: array<E>;
@group(0) @binding(2) var<storage, read_write> exp_avg: array<E>;
@group(0) @binding(3) var<storage, read_write> exp_avg_sq: array<E>;
@group(0) @binding(4) var<storage, read> scalars: array<f32>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.N / WIDTH) {
    return;
  }
  let g = grad[i] * norm[1];
  let m = exp_avg[i] + (g - exp_avg[i]) * params.one_minus_beta1;
  let v = exp_avg_sq[i] * params.beta2 + g * g * params.one_minus_beta2;
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
  weight[i] = weight[i] * scalars[2] - scalars[0] * m / (sqrt(v) / scalars[1] + params.eps);
}
