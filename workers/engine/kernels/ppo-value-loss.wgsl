// loss = sum over R tokens of weight / 2 * max((v - R)^2, (clamp(v, old - range, old + range) - R)^2), v the value, R the
// return, in a fixed order.
struct Params { R: u32, range: f32 }
@group(0) @binding(0) var<storage, read> value: array<f32>;
@group(0) @binding(1) var<storage, read> old_value: array<f32>;
@group(0) @binding(2) var<storage, read> returns: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var t = lane; t < params.R; t += 64u) {
    let error = value[t] - returns[t];
    let cut = clamp(value[t], old_value[t] - params.range, old_value[t] + params.range) - returns[t];
    sum = fma(0.5 * weight[t], max(error * error, cut * cut), sum);
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    loss[0] = all;
  }
}
