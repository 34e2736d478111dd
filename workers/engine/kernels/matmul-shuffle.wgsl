// Matmul without workgroup memory for a not transposed (NN, NT): one subgroup computes 16 rows x 4*SUBGROUP columns, a
// lane owns 4 neighbouring columns. Each lane fetches one vec4 of every row of a, and the k loop hands them round with
// subgroupShuffle while b comes in as vec4: the most fused multiply-adds a load, which is what software adapters pay for.
// Needs a fixed subgroup size and vec4 rows: K % 4 == 0, and N % 4 == 0 unless TRANSPOSE_B. K is not unrolled (seconds
// of compilation). Edges: reads are clamped into the matrix, what they yield is not stored.

override SUBGROUP: u32 = 8u;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * 16u;
  let column = (group.x * SUBGROUP + lane) * 4u;
  let K = params.K;
  let last_row = params.M - 1u;
  let a0 = min(row, last_row) * K;
  let a1 = min(row + 1u, last_row) * K;
  let a2 = min(row + 2u, last_row) * K;
  let a3 = min(row + 3u, last_row) * K;
  let a4 = min(row + 4u, last_row) * K;
  let a5 = min(row + 5u, last_row) * K;
  let a6 = min(row + 6u, last_row) * K;
  let a7 = min(row + 7u, last_row) * K;
  let a8 = min(row + 8u, last_row) * K;
  let a9 = min(row + 9u, last_row) * K;
  let a10 = min(row + 10u, last_row) * K;
  let a11 = min(row + 11u, last_row) * K;
  let a12 = min(row + 12u, last_row) * K;
  let a13 = min(row + 13u, last_row) * K;
  let a14 = min(row + 14u, last_row) * K;
  let a15 = min(row + 15u, last_row) * K;

  // Where the lane's four columns begin: neighbours in a row of b, or four rows of the transposed b.
  let last_column = params.N - 1u;
  var n0 = min(column, max(params.N, 4u) - 4u);
  var n1 = 0u;
  var n2 = 0u;
  var n3 = 0u;
  if (TRANSPOSE_B == 1u) {
    n0 = min(column, last_column) * K;
    n1 = min(column + 1u, last_column) * K;
    n2 = min(column + 2u, last_column) * K;
    n3 = min(column + 3u, last_column) * K;
  }

  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  var s8 = vec4f();
  var s9 = vec4f();
  var s10 = vec4f();
  var s11 = vec4f();
  var s12 = vec4f();
  var s13 = vec4f();
  var s14 = vec4f();
  var s15 = vec4f();

  for (var k0 = 0u; k0 < K; k0 += 4u * SUBGROUP) {
    let mine = min(k0 + 4u * lane, K - 4u);
    let t0 = a_vector(a0 + mine);
    let t1 = a_vector(a1 + mine);
    let t2 = a_vector(a2 + mine);
    let t3 = a_vector(a3 + mine);
    let t4 = a_vector(a4 + mine);
    let t5 = a_vector(a5 + mine);
    let t6 = a_vector(a6 + mine);
    let t7 = a_vector(a7 + mine);
    let t8 = a_vector(a8 + mine);
    let t9 = a_vector(a9 + mine);
    let t10 = a_vector(a10 + mine);
    let t11 = a_vector(a11 + mine);
    let t12 = a_vector(a12 + mine);
    let t13 = a_vector(a13 + mine);
    let t14 = a_vector(a14 + mine);
    let t15 = a_vector(a15 + mine);
    let steps = min(SUBGROUP, (K - k0) / 4u);
    for (var turn = 0u; turn < steps; turn++) {
      let k = k0 + 4u * turn;
      var b0: vec4f;
      var b1: vec4f;
      var b2: vec4f;
      var b3: vec4f;
      if (TRANSPOSE_B == 1u) {
        let v0 = b_vector(n0 + k);
        let v1 = b_vector(n1 + k);
        let v2 = b_vector(n2 + k);
        let v3 = b_vector(n3 + k);
        b0 = vec4f(v0.x, v1.x, v2.x, v3.x);
        b1 = vec4f(v0.y, v1.y, v2.y, v3.y);
        b2 = vec4f(v0.z, v1.z, v2.z, v3.z);
        b3 = vec4f(v0.w, v1.w, v2.w, v3.w);
      } else {
        let i = n0 + k * params.N;
        b0 = b_vector(i);
        b1 = b_vector(i + params.N);
        b2 = b_vector(i + 2u * params.N);
        b3 = b_vector(i + 3u * params.N);
      }
      s0 = fma4(s0, subgroupShuffle(t0, turn), b0, b1, b2, b3);
      s1 = fma4(s1, subgroupShuffle(t1, turn), b0, b1, b2, b3);
      s2 = fma4(s2, subgroupShuffle(t2, turn), b0, b1, b2, b3);
      s3 = fma4(s3, subgroupShuffle(t3, turn), b0, b1, b2, b3);
      s4 = fma4(s4, subgroupShuffle(t4, turn), b0, b1, b2, b3);
      s5 = fma4(s5, subgroupShuffle(t5, turn), b0, b1, b2, b3);
      s6 = fma4(s6, subgroupShuffle(t6, turn), b0, b1, b2, b3);
      s7 = fma4(s7, subgroupShuffle(t7, turn), b0, b1, b2, b3);
      s8 = fma4(s8, subgroupShuffle(t8, turn), b0, b1, b2, b3);
      s9 = fma4(s9, subgroupShuffle(t9, turn), b0, b1, b2, b3);
      s10 = fma4(s10, subgroupShuffle(t10, turn), b0, b1, b2, b3);
      s11 = fma4(s11, subgroupShuffle(t11, turn), b0, b1, b2, b3);
      s12 = fma4(s12, subgroupShuffle(t12, turn), b0, b1, b2, b3);
      s13 = fma4(s13, subgroupShuffle(t13, turn), b0, b1, b2, b3);
      s14 = fma4(s14, subgroupShuffle(t14, turn), b0, b1, b2, b3);
      s15 = fma4(s15, subgroupShuffle(t15, turn), b0, b1, b2, b3);
    }
  }

  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  for (var r = row; r < min(row + 16u, params.M); r++) {
    store(r, column, sums[r - row]);
  }
}
