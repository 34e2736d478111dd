// d_k and d_v of attention in one pass: d_k = sum over queries of ds * q, d_v = sum over queries of p * d_y, with p and ds as
// in attention-backward-q.wgsl. Own rows are keys (pair: v), others queries (pair: d_y). See attention.wgsl.
override ACCUMULATE: u32 = 0u;
@group(0) @binding(0) var<storage, read> q: array<E>;
@group(0) @binding(1) var<storage, read> k: array<E>;
@group(0) @binding(2) var<storage, read> v: array<E>;
@group(0) @binding(3) var<storage, read> d_y: array<E>;
@group(0) @binding(4) var<storage, read> statistics: array<vec2f>; // [query][head]: lse, delta
@group(0) @binding(5) var<storage, read> segment_end: array<i32>;
@group(0) @binding(6) var<storage, read_write> d_k: array<E>;
@group(0) @binding(7) var<storage, read_write> d_v: array<E>;
@group(0) @binding(8) var<uniform> params: Params;

const INTO_K = 0u;
const INTO_V = 1u;

fn own_load(pair: bool, i: u32) -> vec4f {
  if (pair) {
    return vec4f(v[i]);
  }
  return vec4f(k[i]);
}

fn other_load(pair: bool, i: u32) -> vec4f {
  if (pair) {
    return vec4f(d_y[i]);
  }
  return vec4f(q[i]);
}

fn put(into: u32, i: u32, value: E) {
  if (into == INTO_K) {
    if (ACCUMULATE == 1u) {
      d_k[i] += value;
    } else {
      d_k[i] = value;
    }
  } else {
    if (ACCUMULATE == 1u) {
      d_v[i] += value;
    } else {
      d_v[i] = value;
    }
  }
}

/// The end of its text.
fn row_facts(t: Thread, row: u32) -> vec4f {
  return vec4f(f32(segment_end[row]), 0.0, 0.0, 0.0);
}

/// p of one key; zero where a query does not see it.
fn probability(s: vec4f, lse: vec4f, query: vec4u, row: u32, text_end: f32) -> vec4f {
  let seen = (query >= vec4u(row)) & (query < vec4u(u32(text_end)));
  return select(vec4f(), exp(s * params.scale - lse), seen);
}

fn probabilities(s: mat4x4f, lse: vec4f, query: vec4u, row: u32, facts: mat4x4f) -> mat4x4f {
  return mat4x4f(
    probability(s[0], lse, query, row, facts[0].x),
    probability(s[1], lse, query, row + 1u, facts[1].x),
    probability(s[2], lse, query, row + 2u, facts[2].x),
    probability(s[3], lse, query, row + 3u, facts[3].x),
  );
}

fn slopes(p: mat4x4f, g: mat4x4f, delta: vec4f) -> mat4x4f {
  return mat4x4f(
    p[0] * (g[0] - delta) * params.scale,
    p[1] * (g[1] - delta) * params.scale,
    p[2] * (g[2] - delta) * params.scale,
    p[3] * (g[3] - delta) * params.scale,
  );
}

fn known(t: Thread, query: u32) -> vec2f {
  return statistics[query * params.heads + t.head];
}

fn attend(group: vec3u, t: Thread) {
  let first = group.x * ROWS;
  let end = u32(segment_end[min(first + ROWS, params.R) - 1u]);
  let upper = quad_facts(t, t.row);
  var lower = upper;
  if (QUADS == 2u) {
    lower = quad_facts(t, t.row + 4u);
  }
  var k_sum = Rows();
  var v_sum = Rows();
  for (var j = first; j < end; j += tile_others()) {
    let query = j + t.column + FOUR;
    let at = min(query, vec4u(end - 1u));
    let s0 = known(t, at.x);
    let s1 = known(t, at.y);
    let s2 = known(t, at.z);
    let s3 = known(t, at.w);
    let lse = vec4f(s0.x, s1.x, s2.x, s3.x);
    let delta = vec4f(s0.y, s1.y, s2.y, s3.y);
    let s = scores(false, t, j, end);
    var p = Rows();
    p.upper = probabilities(s.upper, lse, query, t.row, upper);
    if (QUADS == 2u) {
      p.lower = probabilities(s.lower, lse, query, t.row + 4u, lower);
    }
    let g = scores(true, t, j, end);
    keep_weights(t, p);
    v_sum = add_others(true, t, v_sum, p, j, end);
    var ds = Rows();
    ds.upper = slopes(p.upper, g.upper, delta);
    if (QUADS == 2u) {
      ds.lower = slopes(p.lower, g.lower, delta);
    }
    keep_weights(t, ds);
    k_sum = add_others(false, t, k_sum, ds, j, end);
  }
  store(t, k_sum, INTO_K);
  store(t, v_sum, INTO_V);
}
