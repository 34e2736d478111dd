// What every matmul kernel shares: its bindings, how four neighbouring elements are read, how a result is stored.
// The kernels' source is this text + one of matmul-{tile,register,shuffle,shuffle-tn}.wgsl; matmul.ts puts before it
//   alias A_PACK / B_PACK   the element of the bound array: a scalar, or a vec4 where the row length is a multiple of 4
//   const A_PACKED / B_PACKED: bool
// and the pipeline builder `alias WEIGHT` (f32, or f16 for frozen weights: arithmetic is always f32).
//
// out [M,N] = op(a) · op(b) (+ bias [N]) (+ out), row-major.
//   a [M,K], or [K,M] with TRANSPOSE_A;  b [K,N], or [N,K] with TRANSPOSE_B.

struct Params {
  M: u32,
  N: u32,
  K: u32,
}

@group(0) @binding(0) var<storage, read> a: array<A_PACK>;
@group(0) @binding(1) var<storage, read> b: array<B_PACK>;
/// Read only with BIAS; without it any readable buffer may be bound.
@group(0) @binding(2) var<storage, read> bias: array<f32>;
/// Scalars, so that any N can be stored; results are written once, so that this costs little.
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

override TRANSPOSE_A: u32 = 0u;
override TRANSPOSE_B: u32 = 0u;
override BIAS: u32 = 0u;
override ACCUMULATE: u32 = 0u;

// The scalar and the vec4 form must both type-check for both aliases: vec4f(x) splats a scalar and copies a vector.

fn a_element(i: u32) -> f32 {
  if (A_PACKED) {
    return vec4f(a[i >> 2u])[i & 3u];
  }
  return vec4f(a[i]).x;
}

fn b_element(i: u32) -> f32 {
  if (B_PACKED) {
    return vec4f(vec4<WEIGHT>(b[i >> 2u]))[i & 3u];
  }
  return vec4f(vec4<WEIGHT>(b[i])).x;
}

/// Elements i..i+3 of a. All four must exist; with A_PACKED, i is a multiple of 4.
fn a_vector(i: u32) -> vec4f {
  if (A_PACKED) {
    return vec4f(a[i >> 2u]);
  }
  return vec4f(a_element(i), a_element(i + 1u), a_element(i + 2u), a_element(i + 3u));
}

/// Elements i..i+3 of b, likewise.
fn b_vector(i: u32) -> vec4f {
  if (B_PACKED) {
    return vec4f(vec4<WEIGHT>(b[i >> 2u]));
  }
  return vec4f(b_element(i), b_element(i + 1u), b_element(i + 2u), b_element(i + 3u));
}

/// As a_vector, but only the first `count` exist (0, or 4 and more, where packed): the others are zero and not touched.
fn a_part(i: u32, count: u32) -> vec4f {
  if (count >= 4u) {
    return a_vector(i);
  }
  var v = vec4f();
  if (!A_PACKED) {
    for (var e = 0u; e < count; e++) {
      v[e] = a_element(i + e);
    }
  }
  return v;
}

fn b_part(i: u32, count: u32) -> vec4f {
  if (count >= 4u) {
    return b_vector(i);
  }
  var v = vec4f();
  if (!B_PACKED) {
    for (var e = 0u; e < count; e++) {
      v[e] = b_element(i + e);
    }
  }
  return v;
}

/// How many elements lie between `position` and `end`.
fn rest(position: u32, end: u32) -> u32 {
  return max(position, end) - position;
}

/// Writes what of four neighbouring columns exists. This loop and its callers' loops over rows begin at a variable so that
/// no compiler unrolls them: 64 stores in a row were half of a software adapter's compile time.
fn store(row: u32, column: u32, value: vec4f) {
  var v = value;
  for (var c = column; c < min(column + 4u, params.N); c++) {
    let i = row * params.N + c;
    var sum = v[c - column];
    if (BIAS == 1u) {
      sum += bias[c];
    }
    if (ACCUMULATE == 1u) {
      sum += out[i];
    }
    out[i] = sum;
  }
}

/// sum + row, where row holds one row's four factors along k and b the four vectors they multiply.
fn fma4(sum: vec4f, row: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return fma(vec4f(row.w), b3, fma(vec4f(row.z), b2, fma(vec4f(row.y), b1, fma(vec4f(row.x), b0, sum))));
}
