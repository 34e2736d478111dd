// y = softmax(scale * q · kᵀ) · v with online softmax, lse = log of the sum of exp. Own rows are queries, others keys;
// "pair" names v among the others. See attention.wgsl.
@group(0) @binding(0) var<storage, read> q: array<E>;
@group(0) @binding(1) var<storage, read> k: array<E>;
@group(0) @binding(2) var<storage, read> v: array<E>;
@group(0) @binding(3) var<storage, read> segment_start: array<i32>;
@group(0) @binding(4) var<storage, read_write> y: array<E>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

fn own_load(pair: bool, i: u32) -> vec4f {
  return vec4f(q[i]);
}

fn other_load(pair: bool, i: u32) -> vec4f {
  if (pair) {
    return vec4f(v[i]);
  }
  return vec4f(k[i]);
}

fn put(into: u32, i: u32, value: E) {
  y[i] = value;
}

/// Online softmax of a quad of rows; `weight` is the thread's own part of the sum.
struct Online {
  peak: vec4f,
  weight: vec4f,
  fade: vec4f,
  p: mat4x4f,
}

fn visible(s: vec4f, key: vec4u, start: u32, query: u32) -> vec4f {
  return select(vec4f(LOWEST), s * params.scale, (key >= vec4u(start)) & (key <= vec4u(query)));
}

fn online(t: Thread, before: Online, s: mat4x4f, key: vec4u, row: u32, start: vec4u) -> Online {
  let seen = mat4x4f(
    visible(s[0], key, start.x, row),
    visible(s[1], key, start.y, row + 1u),
    visible(s[2], key, start.z, row + 2u),
    visible(s[3], key, start.w, row + 3u),
  );
  let columns = transpose(seen);
  let peak = max(before.peak, row_max(t, max(max(columns[0], columns[1]), max(columns[2], columns[3]))));
  // A row that has seen nothing so far has the lowest peak: nothing of it weighs anything.
  let p = mat4x4f(
    select(vec4f(), exp(seen[0] - peak.x), seen[0] > vec4f(LOWEST)),
    select(vec4f(), exp(seen[1] - peak.y), seen[1] > vec4f(LOWEST)),
    select(vec4f(), exp(seen[2] - peak.z), seen[2] > vec4f(LOWEST)),
    select(vec4f(), exp(seen[3] - peak.w), seen[3] > vec4f(LOWEST)),
  );
  let fade = exp(before.peak - peak);
  return Online(peak, before.weight * fade + row_totals(p), fade, p);
}

fn row_facts(t: Thread, row: u32) -> vec4f {
  return vec4f(f32(segment_start[row]), 0.0, 0.0, 0.0);
}

fn store_lse(t: Thread, upper: vec4f, lower: vec4f) {
  for (var row = t.row; row < min(t.row + 4u * QUADS, t.last + 1u); row++) {
    let r = row - t.row;
    lse[row * params.heads + t.head] = select(upper[r % 4u], lower[r % 4u], r >= 4u);
  }
}

fn attend(group: vec3u, t: Thread) {
  let first = group.x * ROWS;
  let end = min(first + ROWS, params.R);
  let nothing = Online(vec4f(LOWEST), vec4f(), vec4f(), mat4x4f());
  var upper = nothing;
  var lower = nothing;
  let upper_start = vec4u(transpose(quad_facts(t, t.row))[0]);
  var lower_start = upper_start;
  if (QUADS == 2u) {
    lower_start = vec4u(transpose(quad_facts(t, t.row + 4u))[0]);
  }
  var sum = Rows();
  for (var j = u32(segment_start[first]); j < end; j += tile_others()) {
    let s = scores(false, t, j, end);
    let key = j + t.column + FOUR;
    upper = online(t, upper, s.upper, key, t.row, upper_start);
    sum.upper = scaled(sum.upper, upper.fade);
    if (QUADS == 2u) {
      lower = online(t, lower, s.lower, key, t.row + 4u, lower_start);
      sum.lower = scaled(sum.lower, lower.fade);
    }
    let p = Rows(upper.p, lower.p);
    keep_weights(t, p);
    sum = add_others(true, t, sum, p, j, end);
  }
  upper.weight = row_sum(t, upper.weight);
  sum.upper = scaled(sum.upper, 1.0 / upper.weight);
  if (QUADS == 2u) {
    lower.weight = row_sum(t, lower.weight);
    sum.lower = scaled(sum.lower, 1.0 / lower.weight);
  }
  store(t, sum, 0u);
  if (t.dim == 0u) {
    store_lse(t, upper.peak + log(upper.weight), lower.peak + log(lower.weight));
  }
}
