// Causal attention over a flat stream of texts, online softmax: y = softmax(scale * q · kᵀ) · v, lse = log of the sum of
// exp. One lane a query and head; the lanes of a workgroup are neighbouring queries and walk the same keys, KEYS at a
// time, from the first text's start to the last query: the work is bounded by the texts' lengths, and k and v are read at
// uniform addresses. segment_start never decreases along the stream. head_dim is at most 128; the loops over it stay rolled
// (software adapters take half a minute to compile them unrolled).
override LANES: u32 = 32u;
struct Params { R: u32, heads: u32, head_dim: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<E>;
@group(0) @binding(1) var<storage, read> k: array<E>;
@group(0) @binding(2) var<storage, read> v: array<E>;
@group(0) @binding(3) var<storage, read> segment_start: array<i32>;
@group(0) @binding(4) var<storage, read_write> y: array<E>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const MOST = 128u / WIDTH;
const KEYS = 4u;
/// Below every score. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let steps = params.head_dim / WIDTH;
  let stride = params.heads * steps;
  let head = group.y * steps;
  let first = group.x * LANES;
  let last = min(first + LANES, params.R) - 1u;
  let t = min(first + lane, last);
  let start = u32(segment_start[t]);
  let mine = t * stride + head;

  var sum: array<E, MOST>;
  var peak = LOWEST;
  var weight = 0.0;

  for (var j = u32(segment_start[first]); j <= last; j += KEYS) {
    // Keys past the last are read as the last and weigh nothing.
    var key: array<u32, KEYS>;
    var p: array<f32, KEYS>;
    for (var e = 0u; e < KEYS; e++) {
      key[e] = min(j + e, last) * stride + head;
      p[e] = 0.0;
    }
    for (var d = 0u; d < steps; d++) {
      let x = q[mine + d];
      for (var e = 0u; e < KEYS; e++) {
        p[e] += total(x * k[key[e] + d]);
      }
    }
    var next = peak;
    for (var e = 0u; e < KEYS; e++) {
      if (j + e >= start && j + e <= t) {
        p[e] *= params.scale;
        next = max(next, p[e]);
      }
    }
    let fade = exp(peak - next);
    peak = next;
    weight *= fade;
    for (var e = 0u; e < KEYS; e++) {
      p[e] = select(0.0, exp(p[e] - peak), j + e >= start && j + e <= t);
      weight += p[e];
    }
    for (var d = 0u; d < steps; d++) {
      var s = sum[d] * fade;
      for (var e = 0u; e < KEYS; e++) {
        s = fma(E(p[e]), v[key[e] + d], s);
      }
      sum[d] = s;
    }
  }

  if (first + lane < params.R) {
    for (var d = 0u; d < steps; d++) {
      y[mine + d] = sum[d] / weight;
    }
    lse[t * params.heads + group.y] = peak + log(weight);
  }
}
