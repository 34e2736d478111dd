// Matmul without workgroup memory for a transposed (TN: weight gradients, out [M,N] = aᵀ · b with a [K,M], b [K,N]).
// As matmul-shuffle.wgsl, one subgroup computes 16 rows x 4*SUBGROUP columns; here one lane-distributed load of a brings
// the 16 rows' factors for SUBGROUP/4 steps of k. Needs a fixed subgroup size of at least 4, M % 4 == 0, N % 4 == 0.
// Edges: reads are clamped into the matrix, what they yield is not stored.

override SUBGROUP: u32 = 8u;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * 16u;
  let column = (group.x * SUBGROUP + lane) * 4u;
  let K = params.K;
  let my_row = min(row + 4u * (lane % 4u), params.M - 4u);
  let my_k = lane / 4u;
  let n = min(column, params.N - 4u);

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

  for (var k0 = 0u; k0 < K; k0 += SUBGROUP / 4u) {
    let mine = a_vector(min(k0 + my_k, K - 1u) * params.M + my_row);
    let steps = min(SUBGROUP / 4u, K - k0);
    for (var turn = 0u; turn < steps; turn++) {
      let v = b_vector((k0 + turn) * params.N + n);
      let x0 = subgroupShuffle(mine, 4u * turn);
      s0 = fma(vec4f(x0.x), v, s0);
      s1 = fma(vec4f(x0.y), v, s1);
      s2 = fma(vec4f(x0.z), v, s2);
      s3 = fma(vec4f(x0.w), v, s3);
      let x1 = subgroupShuffle(mine, 4u * turn + 1u);
      s4 = fma(vec4f(x1.x), v, s4);
      s5 = fma(vec4f(x1.y), v, s5);
      s6 = fma(vec4f(x1.z), v, s6);
      s7 = fma(vec4f(x1.w), v, s7);
      let x2 = subgroupShuffle(mine, 4u * turn + 2u);
      s8 = fma(vec4f(x2.x), v, s8);
      s9 = fma(vec4f(x2.y), v, s9);
      s10 = fma(vec4f(x2.z), v, s10);
      s11 = fma(vec4f(x2.w), v, s11);
      let x3 = subgroupShuffle(mine, 4u * turn + 3u);
      s12 = fma(vec4f(x3.x), v, s12);
      s13 = fma(vec4f(x3.y), v, s13);
      s14 = fma(vec4f(x3.z), v, s14);
      s15 = fma(vec4f(x3.w), v, s15);
    }
  }

  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  for (var r = row; r < min(row + 16u, params.M); r++) {
    store(r, column, sums[r - row]);
  }
}
