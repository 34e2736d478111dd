// Causal attention over a flat stream of texts, online softmax: y = softmax(scale * q · kᵀ) · v, lse = log of the sum of
// exp. One lane a query and head; the lanes of a workgroup are neighbouring queries and walk the same keys, from the
// first text's start to the last query, so the work is bounded by the texts' lengths and k and v are read at uniform
// addresses. segment_start never decreases along the stream. head_dim is at most 128.
override HEAD_DIM: u32 = 64u;
override LANES: u32 = 32u;
struct Params { R: u32, heads: u32, scale: f32 }
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
  let steps = HEAD_DIM / WIDTH;
  let stride = params.heads * steps;
  let head = group.y * steps;
  let first = group.x * LANES;
  let last = min(first + LANES, params.R) - 1u;
  let t = min(first + lane, last);
  let start = u32(segment_start[t]);
  let mine = t * stride + head;

  var query: array<E, MOST>;
  var sum: array<E, MOST>;
  for (var d = 0u; d < steps; d++) {
    query[d] = q[mine + d] * params.scale;
  }
  var peak = LOWEST;
  var weight = 0.0;

  for (var j = u32(segment_start[first]); j <= last; j += KEYS) {
    // Keys past the last are read as the last and weigh nothing.
    let k0 = j * stride + head;
    let k1 = min(j + 1u, last) * stride + head;
    let k2 = min(j + 2u, last) * stride + head;
    let k3 = min(j + 3u, last) * stride + head;
    var s0 = E(0.0);
    var s1 = E(0.0);
    var s2 = E(0.0);
    var s3 = E(0.0);
    for (var d = 0u; d < steps; d++) {
      let x = query[d];
      s0 = fma(x, k[k0 + d], s0);
      s1 = fma(x, k[k1 + d], s1);
      s2 = fma(x, k[k2 + d], s2);
      s3 = fma(x, k[k3 + d], s3);
    }
    let key = vec4u(j, j + 1u, j + 2u, j + 3u);
    let seen = (key >= vec4u(start)) & (key <= vec4u(t));
    let score = select(vec4f(LOWEST), vec4f(total(s0), total(s1), total(s2), total(s3)), seen);
    let next = max(peak, max(max(score.x, score.y), max(score.z, score.w)));
    let p = select(vec4f(), exp(score - next), seen);
    let fade = exp(peak - next);
    weight = fma(weight, fade, (p.x + p.y) + (p.z + p.w));
    peak = next;
    for (var d = 0u; d < steps; d++) {
      sum[d] = fma(E(p.x), v[k0 + d], fma(E(p.y), v[k1 + d], fma(E(p.z), v[k2 + d], fma(E(p.w), v[k3 + d], sum[d] * fade))));
    }
  }

  if (first + lane < params.R) {
    for (var d = 0u; d < steps; d++) {
      y[mine + d] = sum[d] / weight;
    }
    lse[t * params.heads + group.y] = peak + log(weight);
  }
}
