// The three gradients of attention, one a dispatch, recomputing the probabilities from lse:
//   p = exp(scale * q · k - lse[query]), ds = p * (d_y · v - delta[query]) * scale
//   GRADIENT 0: d_q = sum over keys of ds * k      own: q, d_y; other: k, v; bound: segment_start
//   GRADIENT 1: d_k = sum over queries of ds * q   own: k, v; other: q, d_y; bound: segment_end
//   GRADIENT 2: d_v = sum over queries of p * d_y  own and other as for d_k
// One lane a row and head, as in attention-forward.wgsl: the lanes of a workgroup are neighbouring rows and walk the same
// others, which the texts bound (segment_start and segment_end never decrease). Fixed order, no atomics.
override LANES: u32 = 32u;
override GRADIENT: u32 = 0u;
override ACCUMULATE: u32 = 0u;
struct Params { R: u32, heads: u32, head_dim: u32, scale: f32 }
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
const OTHERS = 4u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let steps = params.head_dim / WIDTH;
  let stride = params.heads * steps;
  let head = group.y * steps;
  let first = group.x * LANES;
  let last = min(first + LANES, params.R) - 1u;
  let t = min(first + lane, last);
  let mine = t * stride + head;

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

  var sum: array<E, MOST>;

  for (var j = begin; j < end; j += OTHERS) {
    // Others past the end are read as the last and weigh nothing.
    var row: array<u32, OTHERS>;
    var s: array<f32, OTHERS>;
    var g: array<f32, OTHERS>;
    for (var e = 0u; e < OTHERS; e++) {
      row[e] = min(j + e, end - 1u) * stride + head;
      s[e] = 0.0;
      g[e] = 0.0;
    }
    for (var d = 0u; d < steps; d++) {
      let x = own[mine + d];
      for (var e = 0u; e < OTHERS; e++) {
        s[e] += total(x * other[row[e] + d]);
      }
      if (GRADIENT != 2u) {
        let z = own_pair[mine + d];
        for (var e = 0u; e < OTHERS; e++) {
          g[e] += total(z * other_pair[row[e] + d]);
        }
      }
    }
    // s becomes the factor of each other row: ds, or p for d_v.
    for (var e = 0u; e < OTHERS; e++) {
      let query = select(min(j + e, end - 1u), t, GRADIENT == 0u) * params.heads + group.y;
      let p = select(0.0, exp(s[e] * params.scale - lse[query]), j + e >= low && j + e < high);
      s[e] = p;
      if (GRADIENT != 2u) {
        s[e] = p * (g[e] - delta[query]) * params.scale;
      }
    }
    for (var d = 0u; d < steps; d++) {
      var v = sum[d];
      for (var e = 0u; e < OTHERS; e++) {
        if (GRADIENT == 2u) {
          v = fma(E(s[e]), other_pair[row[e] + d], v);
        } else {
          v = fma(E(s[e]), other[row[e] + d], v);
        }
      }
      sum[d] = v;
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
