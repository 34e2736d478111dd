// y = activation(x), elementwise. KIND 0: gelu (erf), 1: gelu (tanh form), 2: relu. E and WIDTH: see vector.ts.
override KIND: u32 = 0;
struct Params { N: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> y: array<E>;
@group(0) @binding(2) var<uniform> params: Params;

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
  let v = x[i];
  if (KIND == 0u) {
    y[i] = 0.5 * v * (1.0 + erf(v * 0.70710678118654752));
  } else if (KIND == 1u) {
    // 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2u)); the clamp keeps exp finite.
    let z = 1.5957691216057308 * v * (1.0 + 0.044715 * v * v);
    y[i] = v / (1.0 + exp(-clamp(z, E(-80.0), E(80.0))));
  } else {
    y[i] = max(v, E(0.0));
  }
}
