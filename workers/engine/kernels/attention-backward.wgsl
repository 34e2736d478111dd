// The three gradients of attention, one a dispatch, recomputing the probabilities from lse:
//   p = exp(scale * q · k - lse[query]), ds = p * (d_y · v - delta[query]) * scale
//   GRADIENT 0: d_q = sum over keys of ds * k      own: q, d_y; other: k, v; bound: segment_start
//   GRADIENT 1: d_k = sum over queries of ds * q   own: k, v; other: q, d_y; bound: segment_end
//   GRADIENT 2: d_v = sum over queries of p * d_y  own and other as for d_k
// One lane a row and head, as in attention-forward.wgsl: the lanes of a workgroup are neighbouring rows and walk the same
// others, which the texts bound (segment_start and segment_end never decrease). Fixed order, no atomics.
override HEAD_DIM: u32 = 64u;
override LANES: u32 = 32u;
override GRADIENT: u32 = 0u;
override ACCUMULATE: u32 = 0u;
struct Params { R: u32, heads: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> own: array<E>;
@group(0) @binding(1) var<storage, read> own_pair: array<E>;
@group(0) @binding(2) var<storage, read> other: array<E>;
@group(0) @binding(3) var<storage, read> other_pair: array<E>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read> bound: array<i32>;
@group(0) @binding(7) var<storage, read_write> out: array<E>;
@group(0) @binding(8) var<uniform> params: Params;

const MOST = 128u / WIDTH;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let steps = HEAD_DIM / WIDTH;
  let stride = params.heads * steps;
  let head = group.y * steps;
  let first = group.x * LANES;
  let last = min(first + LANES, params.R) - 1u;
  let t = min(first + lane, last);
  let mine = t * stride + head;

  var vector: array<E, MOST>;
  var pair: array<E, MOST>;
  var sum: array<E, MOST>;
  for (var d = 0u; d < steps; d++) {
    vector[d] = own[mine + d] * params.scale;
    pair[d] = own_pair[mine + d];
  }

  // Queries see keys low .. query; keys are seen by queries key .. high - 1. Uniform bounds, then the lane's own.
  var begin = first;
  var end = last + 1u;
  var low = t;
  var high = t + 1u;
  if (GRADIENT == 0u) {
    begin = u32(bound[first]);
    low = u32(bound[t]);
  } else {
    end = u32(bound[last]);
    high = u32(bound[t]);
  }

  for (var j = begin; j < end; j += 2u) {
    let j1 = min(j + 1u, end - 1u);
    let o0 = j * stride + head;
    let o1 = j1 * stride + head;
    var s0 = E(0.0);
    var s1 = E(0.0);
    for (var d = 0u; d < steps; d++) {
      s0 = fma(vector[d], other[o0 + d], s0);
      s1 = fma(vector[d], other[o1 + d], s1);
    }
    let index = vec2u(j, j + 1u);
    let seen = (index >= vec2u(low)) & (index < vec2u(high));
    var query = vec2u(t) * params.heads + group.y;
    if (GRADIENT != 0u) {
      query = vec2u(j, j1) * params.heads + group.y;
    }
    let p = select(vec2f(), exp(vec2f(total(s0), total(s1)) - vec2f(lse[query.x], lse[query.y])), seen);
    if (GRADIENT == 2u) {
      for (var d = 0u; d < steps; d++) {
        sum[d] = fma(E(p.x), other_pair[o0 + d], fma(E(p.y), other_pair[o1 + d], sum[d]));
      }
    } else {
      var g0 = E(0.0);
      var g1 = E(0.0);
      for (var d = 0u; d < steps; d++) {
        g0 = fma(pair[d], other_pair[o0 + d], g0);
        g1 = fma(pair[d], other_pair[o1 + d], g1);
      }
      let ds = p * (vec2f(total(g0), total(g1)) - vec2f(delta[query.x], delta[query.y])) * params.scale;
      for (var d = 0u; d < steps; d++) {
        sum[d] = fma(E(ds.x), other[o0 + d], fma(E(ds.y), other[o1 + d], sum[d]));
      }
    }
  }

  if (first + lane < params.R) {
    for (var d = 0u; d < steps; d++) {
      if (ACCUMULATE == 1u) {
        out[mine + d] += sum[d];
      } else {
        out[mine + d] = sum[d];
      }
    }
  }
}
