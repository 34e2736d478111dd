// Matmul without workgroup memory and without subgroups, all layouts: a lane owns 8 rows x 2 vec4 of columns; a is read
// at addresses equal for the whole workgroup, b as vec4. For adapters whose workgroup memory is no faster than a buffer.
// Needs b in vec4 rows (N % 4 == 0, with TRANSPOSE_B K % 4 == 0). K is not unrolled (seconds of compilation).
// Edges: reads are clamped into the matrix, what they yield is not stored.

override LANES: u32 = 8u;

struct Columns {
  left: vec4f,
  right: vec4f,
}

/// Where a lane's 8 columns begin in b: the first column of each vec4, or 8 rows of the transposed b.
struct Origin {
  left: vec4u,
  right: vec4u,
}

fn fma8(sum: Columns, factor: f32, b: Columns) -> Columns {
  return Columns(fma(vec4f(factor), b.left, sum.left), fma(vec4f(factor), b.right, sum.right));
}

fn fma32(sum: Columns, row: vec4f, b0: Columns, b1: Columns, b2: Columns, b3: Columns) -> Columns {
  return Columns(
    fma4(sum.left, row, b0.left, b1.left, b2.left, b3.left),
    fma4(sum.right, row, b0.right, b1.right, b2.right, b3.right),
  );
}

fn b_row(k: u32, origin: Origin) -> Columns {
  let i = min(k, params.K - 1u) * params.N;
  return Columns(b_vector(i + origin.left.x), b_vector(i + origin.right.x));
}

/// Four neighbouring k of four columns: element [column][k].
fn b_block(k: u32, columns: vec4u) -> mat4x4f {
  return mat4x4f(b_vector(columns.x + k), b_vector(columns.y + k), b_vector(columns.z + k), b_vector(columns.w + k));
}

/// Four rows of aᵀ from `row`, at one k. Rows past the end repeat the last.
fn a_rows(k: u32, row: u32) -> vec4f {
  let i = k * params.M;
  if (A_PACKED) {
    return a_vector(i + min(row, params.M - 4u));
  }
  let last = params.M - 1u;
  return vec4f(
    a_element(i + min(row, last)),
    a_element(i + min(row + 1u, last)),
    a_element(i + min(row + 2u, last)),
    a_element(i + min(row + 3u, last)),
  );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * 8u;
  let column = (group.x * 2u * LANES + lane) * 4u;
  let K = params.K;

  var origin: Origin;
  if (TRANSPOSE_B == 1u) {
    let last = vec4u(params.N - 1u);
    origin.left = min(column + vec4u(0u, 1u, 2u, 3u), last) * K;
    origin.right = min(column + 4u * LANES + vec4u(0u, 1u, 2u, 3u), last) * K;
  } else {
    let last = vec4u(params.N - 4u);
    origin.left = min(vec4u(column), last);
    origin.right = min(vec4u(column + 4u * LANES), last);
  }

  var s0: Columns;
  var s1: Columns;
  var s2: Columns;
  var s3: Columns;
  var s4: Columns;
  var s5: Columns;
  var s6: Columns;
  var s7: Columns;

  if (TRANSPOSE_A == 1u) {
    for (var k = 0u; k < K; k++) {
      let v = b_row(k, origin);
      let upper = a_rows(k, row);
      s0 = fma8(s0, upper.x, v);
      s1 = fma8(s1, upper.y, v);
      s2 = fma8(s2, upper.z, v);
      s3 = fma8(s3, upper.w, v);
      let lower = a_rows(k, row + 4u);
      s4 = fma8(s4, lower.x, v);
      s5 = fma8(s5, lower.y, v);
      s6 = fma8(s6, lower.z, v);
      s7 = fma8(s7, lower.w, v);
    }
  } else {
    let last = params.M - 1u;
    for (var k = 0u; k < K; k += 4u) {
      // Beyond K (only where a is not packed) the factors of a are zero, and b repeats its last row.
      let count = K - k;
      var b0: Columns;
      var b1: Columns;
      var b2: Columns;
      var b3: Columns;
      if (TRANSPOSE_B == 1u) {
        let left = transpose(b_block(k, origin.left));
        let right = transpose(b_block(k, origin.right));
        b0 = Columns(left[0], right[0]);
        b1 = Columns(left[1], right[1]);
        b2 = Columns(left[2], right[2]);
        b3 = Columns(left[3], right[3]);
      } else {
        b0 = b_row(k, origin);
        b1 = b_row(k + 1u, origin);
        b2 = b_row(k + 2u, origin);
        b3 = b_row(k + 3u, origin);
      }
      s0 = fma32(s0, a_part(min(row, last) * K + k, count), b0, b1, b2, b3);
      s1 = fma32(s1, a_part(min(row + 1u, last) * K + k, count), b0, b1, b2, b3);
      s2 = fma32(s2, a_part(min(row + 2u, last) * K + k, count), b0, b1, b2, b3);
      s3 = fma32(s3, a_part(min(row + 3u, last) * K + k, count), b0, b1, b2, b3);
      s4 = fma32(s4, a_part(min(row + 4u, last) * K + k, count), b0, b1, b2, b3);
      s5 = fma32(s5, a_part(min(row + 5u, last) * K + k, count), b0, b1, b2, b3);
      s6 = fma32(s6, a_part(min(row + 6u, last) * K + k, count), b0, b1, b2, b3);
      s7 = fma32(s7, a_part(min(row + 7u, last) * K + k, count), b0, b1, b2, b3);
    }
  }

  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var r = row; r < min(row + 8u, params.M); r++) {
    store(r, column, sums[r - row].left);
    store(r, column + 4u * LANES, sums[r - row].right);
  }
}
