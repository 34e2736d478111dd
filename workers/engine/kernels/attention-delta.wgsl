// statistics [R * heads, 2] = lse beside delta, the sum over a head's dims of d_y * y: what softmax's backward subtracts. One
// lane a row and head.
// head_dim is a param, not an override: a constant bound makes lavapipe unroll the loop and compile for many seconds.
struct Params { count: u32, head_dim: u32 }
@group(0) @binding(0) var<storage, read> y: array<E>;
@group(0) @binding(1) var<storage, read> d_y: array<E>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> statistics: array<vec2f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.count) {
    return;
  }
  let steps = params.head_dim / WIDTH;
  var sum = E(0.0);
  for (var d = 0u; d < steps; d++) {
    sum = fma(y[i * steps + d], d_y[i * steps + d], sum);
  }
  statistics[i] = vec2f(lse[i], total(sum));
}
