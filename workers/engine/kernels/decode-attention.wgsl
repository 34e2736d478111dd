// One query a text against the cached keys of its text up to itself: y = softmax(scale * q · kᵀ) · v, online over blocks
// of LANES keys. One workgroup a text and head. For the scores a lane has a key, for the sum it has one of the head's
// vectors and every so-manieth key of the block. LANES is at least the number of vectors of a head.
override LANES: u32 = 64u;
struct Params { heads: u32, head_dim: u32, length: u32, B: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<E>;
@group(0) @binding(1) var<storage, read> k_cache: array<E>;
@group(0) @binding(2) var<storage, read> v_cache: array<E>;
@group(0) @binding(3) var<storage, read> position: array<i32>;
@group(0) @binding(4) var<storage, read_write> y: array<E>;
@group(0) @binding(5) var<uniform> params: Params;

/// Below every score. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;
var<workgroup> query: array<E, 128u / WIDTH>;
var<workgroup> scores: array<f32, LANES>;
var<workgroup> weights: array<f32, LANES>;
var<workgroup> sums: array<E, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let steps = params.head_dim / WIDTH;
  let stride = params.heads * steps;
  let head = group.x * steps;
  let text = group.y;
  let keys = u32(position[text]) + 1u;
  let first_row = text * params.length;
  for (var d = lane; d < steps; d += LANES) {
    query[d] = q[text * stride + head + d] * params.scale;
  }
  workgroupBarrier();

  // Lanes beyond the last full round of vectors have no part in the sum.
  let rounds = LANES / steps;
  let mine = lane % steps;
  let turn = lane / steps;
  var sum = E(0.0);
  var weight = 0.0;
  var peak = LOWEST;
  for (var block = 0u; block < keys; block += LANES) {
    let count = min(LANES, keys - block);
    var score = LOWEST;
    if (lane < count) {
      let key = (first_row + block + lane) * stride + head;
      var products = E(0.0);
      for (var d = 0u; d < steps; d++) {
        products = fma(query[d], k_cache[key + d], products);
      }
      score = total(products);
    }
    scores[lane] = score;
    workgroupBarrier();
    var next = peak;
    for (var j = 0u; j < count; j++) {
      next = max(next, scores[j]);
    }
    weights[lane] = exp(score - next);
    workgroupBarrier();
    let fade = exp(peak - next);
    peak = next;
    weight *= fade;
    sum *= fade;
    for (var j = 0u; j < count; j++) {
      weight += weights[j];
    }
    if (turn < rounds) {
      for (var j = turn; j < count; j += rounds) {
        sum = fma(E(weights[j]), v_cache[(first_row + block + j) * stride + head + mine], sum);
      }
    }
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane < steps) {
    for (var other = 1u; other < rounds; other++) {
      sum += sums[other * steps + lane];
    }
    y[text * stride + head + lane] = sum / weight;
  }
}
