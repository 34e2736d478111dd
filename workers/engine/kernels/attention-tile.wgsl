// Attention's products through workgroup memory, for every head_dim up to 128: the default on real GPUs. 64 threads take 32
// rows, 32 others a tile and a block of 32 dims; a thread has 4 rows x 4 others and 4 rows x 4 dims.
// Dims are staged 32 at a time, so that the tiles' size does not depend on head_dim.

const QUADS = 1u;
const ROWS = 32u;
const THREADS = 64u;
const TILE = 32u;
const QUADS_A_TILE = TILE / 4u;

var<workgroup> own_tile: array<vec4f, TILE * QUADS_A_TILE>; // [dim][row / 4], or weights: [other][row / 4]
var<workgroup> other_tile: array<vec4f, TILE * QUADS_A_TILE>; // [dim][other / 4], or [other][dim / 4]
var<workgroup> row_parts: array<vec4f, THREADS>; // [row / 4][thread]

fn tile_others() -> u32 {
  return TILE;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  attend(group, thread_of(group, index));
}

fn thread_of(group: vec3u, index: u32) -> Thread {
  let first = group.x * ROWS;
  let row = first + 4u * (index / QUADS_A_TILE);
  let column = 4u * (index % QUADS_A_TILE);
  return Thread(first, min(first + ROWS, params.R) - 1u, row, column, group.z * TILE + column, index, group.y);
}

/// sum + own_tile, transposed, · other_tile.
fn inner(t: Thread, sum: mat4x4f) -> mat4x4f {
  let above = t.lane / QUADS_A_TILE;
  let beside = t.lane % QUADS_A_TILE;
  var total = sum;
  for (var k = 0u; k < TILE; k++) {
    let u = own_tile[k * QUADS_A_TILE + above];
    let v = other_tile[k * QUADS_A_TILE + beside];
    total = mat4x4f(
      fma(vec4f(u.x), v, total[0]),
      fma(vec4f(u.y), v, total[1]),
      fma(vec4f(u.z), v, total[2]),
      fma(vec4f(u.w), v, total[3]),
    );
  }
  return total;
}

/// own · other of the tile that begins at j; others from `end` on are read as the last one.
fn scores(pair: bool, t: Thread, j: u32, end: u32) -> Rows {
  // Each thread stages one block of 4 rows x 4 dims of both, transposed on the way.
  let quad = t.lane % QUADS_A_TILE;
  let four = t.lane / QUADS_A_TILE;
  let own_rows = min(t.first + 4u * four + FOUR, vec4u(t.last));
  let other_rows = min(j + 4u * four + FOUR, vec4u(end - 1u));
  var s = mat4x4f();
  for (var d0 = 0u; d0 < params.head_dim; d0 += TILE) {
    let d = d0 + 4u * quad;
    var a = mat4x4f();
    var b = mat4x4f();
    if (d < params.head_dim) {
      a = transpose(mat4x4f(
        own_quad(pair, row_start(t, own_rows.x), d),
        own_quad(pair, row_start(t, own_rows.y), d),
        own_quad(pair, row_start(t, own_rows.z), d),
        own_quad(pair, row_start(t, own_rows.w), d),
      ));
      b = transpose(mat4x4f(
        other_quad(pair, row_start(t, other_rows.x), d),
        other_quad(pair, row_start(t, other_rows.y), d),
        other_quad(pair, row_start(t, other_rows.z), d),
        other_quad(pair, row_start(t, other_rows.w), d),
      ));
    }
    workgroupBarrier();
    let at = 4u * quad * QUADS_A_TILE + four;
    own_tile[at] = a[0];
    own_tile[at + QUADS_A_TILE] = a[1];
    own_tile[at + 2u * QUADS_A_TILE] = a[2];
    own_tile[at + 3u * QUADS_A_TILE] = a[3];
    other_tile[at] = b[0];
    other_tile[at + QUADS_A_TILE] = b[1];
    other_tile[at + 2u * QUADS_A_TILE] = b[2];
    other_tile[at + 3u * QUADS_A_TILE] = b[3];
    workgroupBarrier();
    s = inner(t, s);
  }
  return Rows(s, mat4x4f());
}

/// Lays the weights into own_tile, for the calls of add_others that follow.
fn keep_weights(t: Thread, weights: Rows) {
  let columns = transpose(weights.upper);
  let at = t.column * QUADS_A_TILE + t.lane / QUADS_A_TILE;
  workgroupBarrier();
  own_tile[at] = columns[0];
  own_tile[at + QUADS_A_TILE] = columns[1];
  own_tile[at + 2u * QUADS_A_TILE] = columns[2];
  own_tile[at + 3u * QUADS_A_TILE] = columns[3];
}

/// sum + weights · others, for the thread's four dims. Weights of others from `end` on are zero.
fn add_others(pair: bool, t: Thread, sum: Rows, weights: Rows, j: u32, end: u32) -> Rows {
  let quad = t.lane % QUADS_A_TILE;
  workgroupBarrier();
  for (var o = t.lane / QUADS_A_TILE; o < TILE; o += THREADS / QUADS_A_TILE) {
    var v = vec4f();
    if (t.dim < params.head_dim) {
      v = other_quad(pair, row_start(t, min(j + o, end - 1u)), t.dim);
    }
    other_tile[o * QUADS_A_TILE + quad] = v;
  }
  workgroupBarrier();
  return Rows(inner(t, sum.upper), mat4x4f());
}

/// The facts of the rows row .. row + 3.
fn quad_facts(t: Thread, row: u32) -> mat4x4f {
  let rows = min(row + FOUR, vec4u(t.last));
  return mat4x4f(row_facts(t, rows.x), row_facts(t, rows.y), row_facts(t, rows.z), row_facts(t, rows.w));
}

/// The maximum over the threads that share four rows.
fn row_max(t: Thread, mine: vec4f) -> vec4f {
  workgroupBarrier();
  row_parts[t.lane] = mine;
  workgroupBarrier();
  let first = t.lane / QUADS_A_TILE * QUADS_A_TILE;
  var peak = row_parts[first];
  for (var i = 1u; i < QUADS_A_TILE; i++) {
    peak = max(peak, row_parts[first + i]);
  }
  return peak;
}

/// The sum over the threads that share four rows, in their order.
fn row_sum(t: Thread, mine: vec4f) -> vec4f {
  workgroupBarrier();
  row_parts[t.lane] = mine;
  workgroupBarrier();
  let first = t.lane / QUADS_A_TILE * QUADS_A_TILE;
  var sum = row_parts[first];
  for (var i = 1u; i < QUADS_A_TILE; i++) {
    sum += row_parts[first + i];
  }
  return sum;
}
