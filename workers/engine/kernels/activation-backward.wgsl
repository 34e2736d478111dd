// d_x (+)= d_y * activation'(x), elementwise. KIND as in activation.wgsl. E and WIDTH: see vector.ts.
override KIND: u32 = 0;
override ACCUMULATE: u32 = 0;
struct Params { N: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> d_y: array<E>;
@group(0) @binding(2) var<storage, read_write> d_x: array<E>;
@group(0) @binding(3) var<uniform> params: Params;

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
  var slope: E;
  if (KIND == 0u) {
    slope = 0.5 * (1.0 + erf(v * 0.70710678118654752)) + v * 0.39894228040143268 * exp(-0.5 * v * v);
  } else if (KIND == 1u) {
    let z = 1.5957691216057308 * v * (1.0 + 0.044715 * v * v);
    let sigmoid = 1.0 / (1.0 + exp(-clamp(z, E(-80.0), E(80.0))));
    slope = sigmoid + v * sigmoid * (1.0 - sigmoid) * 1.5957691216057308 * (1.0 + 0.134145 * v * v);
  } else {
    slope = select(E(0.0), E(1.0), v > E(0.0));
  }
  let gradient = d_y[i] * slope;
  if (ACCUMULATE == 1u) {
    d_x[i] += gradient;
  } else {
    d_x[i] = gradient;
  }
}
