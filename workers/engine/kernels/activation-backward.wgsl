// d_x (+)= d_y * activation'(x), elementwise. KIND as in activation.wgsl. E and WIDTH: see vector.ts.
override KIND: u32 = 0;
override ACCUMULATE: u32 = 0;
struct Params { N: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read> d_y: array<E>;
@group(0) @binding(2) var<storage, read_write> d_x: array<E>;
@group(0) @binding(3) var<uniform> params: Params;

// erf to about one ulp: a polynomial up to 0.93, 1 - exp(polynomial) above (after N. Juffa).
fn erf(a: E) -> E {
  let t = abs(a);
  let s = a * a;
  var far = fma(fma(E(-1.72853470e-5), t, E(3.83197126e-4)), s, fma(E(-3.88396438e-3), t, E(2.42546219e-2)));
  far = fma(far, t, E(-1.06777877e-1));
  far = fma(far, t, E(-6.34846687e-1));
  far = fma(far, t, E(-1.28717512e-1));
  far = fma(far, t, -t);
  // Beyond 4 the polynomial is not fitted and erf is 1 in f32.
  far = select(E(1.0) - exp(far), E(1.0), t > E(4.0));
  var near = fma(E(-5.96761703e-4), s, E(4.99119423e-3));
  near = fma(near, s, E(-2.67681349e-2));
  near = fma(near, s, E(1.12819925e-1));
  near = fma(near, s, E(-3.76125336e-1));
  near = fma(near, s, E(1.28379166e-1));
  near = fma(near, a, a);
  return select(near, sign(a) * far, t > E(0.927734375));
}

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
