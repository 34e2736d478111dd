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
