// d_q of attention = sum over keys of ds * k, where p = exp(scale * q · k - lse[query]) and
// ds = p * (d_y · v - delta[query]) * scale. Own rows are queries (pair: d_y), others keys (pair: v). See attention.wgsl.
override ACCUMULATE: u32 = 0u;
@group(0) @binding(0) var<storage, read> q: array<E>;
@group(0) @binding(1) var<storage, read> k: array<E>;
@group(0) @binding(2) var<storage, read> v: array<E>;
@group(0) @binding(3) var<storage, read> d_y: array<E>;
@group(0) @binding(4) var<storage, read> statistics: array<vec2f>; // [query][head]: lse, delta
@group(0) @binding(5) var<storage, read> segment_start: array<i32>;
@group(0) @binding(6) var<storage, read_write> d_q: array<E>;
@group(0) @binding(7) var<uniform> params: Params;

fn own_load(pair: bool, i: u32) -> vec4f {
  if (pair) {
    return vec4f(d_y[i]);
  }
  return vec4f(q[i]);
}

fn other_load(pair: bool, i: u32) -> vec4f {
  if (pair) {
    return vec4f(v[i]);
  }
  return vec4f(k[i]);
}

fn put(into: u32, i: u32, value: E) {
  if (ACCUMULATE == 1u) {
    d_q[i] += value;
  } else {
    d_q[i] = value;
  }
}

/// Its first key, lse, delta.
fn row_facts(t: Thread, row: u32) -> vec4f {
  return vec4f(f32(segment_start[row]), statistics[row * params.heads + t.head], 0.0);
}

/// ds of one query; zero where it does not see the key.
fn slope(s: vec4f, g: vec4f, key: vec4u, row: u32, facts: vec4f) -> vec4f {
  let p = exp(s * params.scale - facts.y);
  let seen = (key >= vec4u(u32(facts.x))) & (key <= vec4u(row));
  return select(vec4f(), p * (g - facts.z) * params.scale, seen);
}

fn slopes(s: mat4x4f, g: mat4x4f, key: vec4u, row: u32, facts: mat4x4f) -> mat4x4f {
  return mat4x4f(
    slope(s[0], g[0], key, row, facts[0]),
    slope(s[1], g[1], key, row + 1u, facts[1]),
    slope(s[2], g[2], key, row + 2u, facts[2]),
    slope(s[3], g[3], key, row + 3u, facts[3]),
  );
}

fn attend(group: vec3u, t: Thread) {
  let first = group.x * ROWS;
  let end = min(first + ROWS, params.R);
  let upper = quad_facts(t, t.row);
  var lower = upper;
  if (QUADS == 2u) {
    lower = quad_facts(t, t.row + 4u);
  }
  var sum = Rows();
  for (var j = u32(segment_start[first]); j < end; j += tile_others()) {
    let s = scores(false, t, j, end);
    let g = scores(true, t, j, end);
    let key = j + t.column + FOUR;
    var ds = Rows();
    ds.upper = slopes(s.upper, g.upper, key, t.row, upper);
    if (QUADS == 2u) {
      ds.lower = slopes(s.lower, g.lower, key, t.row + 4u, lower);
    }
    keep_weights(t, ds);
    sum = add_others(false, t, sum, ds, j, end);
  }
  store(t, sum, 0u);
}
