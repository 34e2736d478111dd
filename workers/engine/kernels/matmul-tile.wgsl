// Matmul through workgroup memory, all layouts and all sizes: the default on real GPUs, and on every adapter the one for
// sizes no vec4 divides. A workgroup computes (8 * THREADS_Y) x (4 * THREADS_X) results, a thread 8 rows x 4 columns;
// TILE_K steps of k are staged at a time, as vec4 along m and n. Edges are staged as zeros.

override THREADS_X: u32 = 16u;
override THREADS_Y: u32 = 8u;
const TILE_K = 16u;

var<workgroup> tile_a: array<vec4f, TILE_K * THREADS_Y * 2u>; // [k][m / 4]
var<workgroup> tile_b: array<vec4f, TILE_K * THREADS_X>; // [k][n / 4]

@compute @workgroup_size(THREADS_X, THREADS_Y)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let M = params.M;
  let N = params.N;
  let K = params.K;
  let threads = THREADS_X * THREADS_Y;
  let width_a = THREADS_Y * 2u; // vec4 columns of tile_a
  let width_b = THREADS_X;
  let first_row = group.y * THREADS_Y * 8u;
  let first_column = group.x * THREADS_X * 4u;

  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();

  for (var k0 = 0u; k0 < K; k0 += TILE_K) {
    if (TRANSPOSE_A == 1u) {
      for (var t = index; t < TILE_K * width_a; t += threads) {
        let k = k0 + t / width_a;
        let m = first_row + 4u * (t % width_a);
        tile_a[t] = a_part(k * M + m, select(0u, rest(m, M), k < K));
      }
    } else {
      // Four rows by four k at a time, transposed on the way.
      for (var t = index; t < TILE_K / 4u * width_a; t += threads) {
        let column = t / (TILE_K / 4u);
        let m = first_row + 4u * column;
        let quad = t % (TILE_K / 4u);
        let k = k0 + 4u * quad;
        let count = rest(k, K);
        let i = m * K + k;
        let block = transpose(mat4x4f(
          a_part(i, select(0u, count, m < M)),
          a_part(i + K, select(0u, count, m + 1u < M)),
          a_part(i + 2u * K, select(0u, count, m + 2u < M)),
          a_part(i + 3u * K, select(0u, count, m + 3u < M)),
        ));
        let at = 4u * quad * width_a + column;
        tile_a[at] = block[0];
        tile_a[at + width_a] = block[1];
        tile_a[at + 2u * width_a] = block[2];
        tile_a[at + 3u * width_a] = block[3];
      }
    }
    if (TRANSPOSE_B == 0u) {
      for (var t = index; t < TILE_K * width_b; t += threads) {
        let k = k0 + t / width_b;
        let n = first_column + 4u * (t % width_b);
        tile_b[t] = b_part(k * N + n, select(0u, rest(n, N), k < K));
      }
    } else {
      for (var t = index; t < TILE_K / 4u * width_b; t += threads) {
        let column = t / (TILE_K / 4u);
        let n = first_column + 4u * column;
        let quad = t % (TILE_K / 4u);
        let k = k0 + 4u * quad;
        let count = rest(k, K);
        let i = n * K + k;
        let block = transpose(mat4x4f(
          b_part(i, select(0u, count, n < N)),
          b_part(i + K, select(0u, count, n + 1u < N)),
          b_part(i + 2u * K, select(0u, count, n + 2u < N)),
          b_part(i + 3u * K, select(0u, count, n + 3u < N)),
        ));
        let at = 4u * quad * width_b + column;
        tile_b[at] = block[0];
        tile_b[at + width_b] = block[1];
        tile_b[at + 2u * width_b] = block[2];
        tile_b[at + 3u * width_b] = block[3];
      }
    }
    workgroupBarrier();
    for (var k = 0u; k < TILE_K; k++) {
      let v = tile_b[k * width_b + thread.x];
      let upper = tile_a[k * width_a + 2u * thread.y];
      let lower = tile_a[k * width_a + 2u * thread.y + 1u];
      s0 = fma(vec4f(upper.x), v, s0);
      s1 = fma(vec4f(upper.y), v, s1);
      s2 = fma(vec4f(upper.z), v, s2);
      s3 = fma(vec4f(upper.w), v, s3);
      s4 = fma(vec4f(lower.x), v, s4);
      s5 = fma(vec4f(lower.y), v, s5);
      s6 = fma(vec4f(lower.z), v, s6);
      s7 = fma(vec4f(lower.w), v, s7);
    }
    workgroupBarrier();
  }

  let row = first_row + thread.y * 8u;
  let column = first_column + thread.x * 4u;
  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var r = row; r < min(row + 8u, params.M); r++) {
    store(r, column, sums[r - row]);
  }
}
