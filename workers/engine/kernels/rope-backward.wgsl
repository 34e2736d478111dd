// d_qkv from d_q, d_k, d_v: the rotation's transpose, that is, by the opposite angle.
override ACCUMULATE: u32 = 0;
struct Params { R: u32, heads: u32, head_dim: u32, F: u32 }
@group(0) @binding(0) var<storage, read> d_q: array<E>;
@group(0) @binding(1) var<storage, read> d_k: array<E>;
@group(0) @binding(2) var<storage, read> d_v: array<E>;
@group(0) @binding(3) var<storage, read> position_ids: array<i32>;
@group(0) @binding(4) var<storage, read> inv_freq: array<E>;
@group(0) @binding(5) var<storage, read_write> d_qkv: array<E>;
@group(0) @binding(6) var<uniform> params: Params;

// sin and cos to f32 accuracy for angles up to about 10,000: the built-ins promise 2^-11 only within [-pi, pi].
// pi/2 in three parts, the first two short enough that their products with n are exact.
fn sin_cos(angle: E) -> array<E, 2> {
  let n = round(angle * 0.63661977236758134);
  var r = angle - n * 1.5703125;
  r -= n * 4.837512969970703125e-4;
  r -= n * 7.54978995489188216e-8;
  let z = r * r;
  let s = fma(fma(fma(E(-1.9515295891e-4), z, E(8.3321608736e-3)), z, E(-1.6666654611e-1)) * z, r, r);
  let c = fma(fma(fma(E(2.443315711809948e-5), z, E(-1.388731625493765e-3)), z, E(4.166664568298827e-2)) * z, z, fma(E(-0.5), z, E(1.0)));
  // Quadrant n mod 4 decides which is which, and the signs.
  let quadrant = n - 4.0 * floor(n * 0.25);
  let odd = (quadrant == E(1.0)) | (quadrant == E(3.0));
  let sine = select(s, c, odd) * select(E(1.0), E(-1.0), quadrant >= E(2.0));
  let cosine = select(c, s, odd) * select(E(1.0), E(-1.0), (quadrant == E(1.0)) | (quadrant == E(2.0)));
  return array<E, 2>(sine, cosine);
}

fn put(i: u32, value: E) {
  if (ACCUMULATE == 1u) {
    d_qkv[i] += value;
  } else {
    d_qkv[i] = value;
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let dim = params.head_dim / WIDTH;
  let half = params.F / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.R * params.heads * dim) {
    return;
  }
  let d = i % dim;
  let first = (i / dim) * 3u * dim;
  var q_value = d_q[i];
  var k_value = d_k[i];
  if (d < 2u * half && 2u * half <= dim) {
    let low = d < half;
    let partner = select(i - half, i + half, low);
    let angle = E(f32(position_ids[i / (dim * params.heads)])) * inv_freq[d % half];
    let turn = sin_cos(angle);
    let sine = select(-turn[0], turn[0], low);
    q_value = q_value * turn[1] + d_q[partner] * sine;
    k_value = k_value * turn[1] + d_k[partner] * sine;
  }
  put(first + d, q_value);
  put(first + dim + d, k_value);
  put(first + 2u * dim + d, d_v[i]);
}
