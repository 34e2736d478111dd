// Attention over a flat stream of texts, in pieces: what its kernels share whatever moves the data. A workgroup takes ROWS
// neighbouring rows of one head ("own": queries, or keys in the backward pass of k and v) and walks the rows they meet
// ("other") in tiles of `tile_others()`, from the first text's start to the last one's end: the work is bounded by the
// texts' lengths. A thread has 4 * QUADS rows and, of every tile, 4 neighbouring others. A workgroup sums up one block of
// `tile_others()` dims, of which a thread has 4: wider heads take several workgroups, which share no scores but keep code
// and registers few. Memory is linear in R; probabilities are recomputed in the backward pass. Fixed order, no
// atomics.
//
// The source of a kernel is this text, attention-{tile,shuffle}.wgsl (how products are made: through workgroup memory, or
// by subgroup shuffles) and the kernel's own, which gives
//   own_load(pair, i), other_load(pair, i) -> vec4f   element i (an E) of q, k, v or d_y: "pair" is said by each kernel
//   put(into, i, value)                               stores element i of a result
//   row_facts(t, row) -> vec4f                        what must be known of an own row, its bound (a row, exact in f32) first
//   attend(group, t)                                  what a workgroup does
// Loops whose ends must be the same for all threads count from `group`, since compilers see a struct as a whole.

struct Params { R: u32, heads: u32, head_dim: u32, scale: f32 }

/// Below every score. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;
const FOUR = vec4u(0u, 1u, 2u, 3u);

/// Rows of four neighbouring columns: matrix column r is row r. `lower` is used with two quads of rows only.
struct Rows {
  upper: mat4x4f,
  lower: mat4x4f,
}

struct Thread {
  /// Of the workgroup.
  first: u32,
  last: u32,
  /// The thread's first row: beyond `last` the last is repeated, and nothing stored.
  row: u32,
  /// First of its four others in a tile.
  column: u32,
  /// First of its four dims.
  dim: u32,
  /// Its number among the threads.
  lane: u32,
  /// Of the head.
  head: u32,
}

/// Index of the first dim of the head in a row.
fn row_start(t: Thread, row: u32) -> u32 {
  return (row * params.heads + t.head) * params.head_dim;
}

/// Dims d .. d + 3 of the row that begins at `start`; zeros beyond head_dim where a vec4 does not divide it.
fn own_quad(pair: bool, start: u32, d: u32) -> vec4f {
  if (WIDTH == 4u) {
    return own_load(pair, (start + d) / 4u);
  }
  var v = vec4f();
  for (var e = 0u; e < min(4u, params.head_dim - d); e++) {
    v[e] = own_load(pair, start + d + e).x;
  }
  return v;
}

fn other_quad(pair: bool, start: u32, d: u32) -> vec4f {
  if (WIDTH == 4u) {
    return other_load(pair, (start + d) / 4u);
  }
  var v = vec4f();
  for (var e = 0u; e < min(4u, params.head_dim - d); e++) {
    v[e] = other_load(pair, start + d + e).x;
  }
  return v;
}

/// sum + x · b, where row r of x holds its factors of the four rows of b.
fn fma_quad(sum: mat4x4f, x: mat4x4f, b: mat4x4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(x[0].w), b[3], fma(vec4f(x[0].z), b[2], fma(vec4f(x[0].y), b[1], fma(vec4f(x[0].x), b[0], sum[0])))),
    fma(vec4f(x[1].w), b[3], fma(vec4f(x[1].z), b[2], fma(vec4f(x[1].y), b[1], fma(vec4f(x[1].x), b[0], sum[1])))),
    fma(vec4f(x[2].w), b[3], fma(vec4f(x[2].z), b[2], fma(vec4f(x[2].y), b[1], fma(vec4f(x[2].x), b[0], sum[2])))),
    fma(vec4f(x[3].w), b[3], fma(vec4f(x[3].z), b[2], fma(vec4f(x[3].y), b[1], fma(vec4f(x[3].x), b[0], sum[3])))),
  );
}

/// Each row times its factor.
fn scaled(m: mat4x4f, factor: vec4f) -> mat4x4f {
  return mat4x4f(m[0] * factor.x, m[1] * factor.y, m[2] * factor.z, m[3] * factor.w);
}

/// Stores what exists of the thread's rows and dims, by `put` of the kernel. The loops begin at variables so that no compiler
/// unrolls them.
fn store(t: Thread, sum: Rows, into: u32) {
  let u = sum.upper;
  let l = sum.lower;
  var rows = array(u[0], u[1], u[2], u[3], l[0], l[1], l[2], l[3]);
  for (var row = t.row; row < min(t.row + 4u * QUADS, t.last + 1u); row++) {
    for (var d = t.dim; d < min(t.dim + 4u, params.head_dim); d += WIDTH) {
      put(into, (row_start(t, row) + d) / WIDTH, narrow(rows[row - t.row], d - t.dim));
    }
  }
}

fn row_totals(m: mat4x4f) -> vec4f {
  let t = transpose(m);
  return (t[0] + t[1]) + (t[2] + t[3]);
}
