// Attention's products by subgroup shuffles: one subgroup a workgroup, a lane has 8 rows and every tile's four others. A lane
// fetches one vec4 of every own row, and the loops hand them round while the others come in as vec4: the most fused
// multiply-adds a load, which is what software adapters pay for. Needs a fixed subgroup size of at least 4 and vec4 rows.

override SUBGROUP: u32 = 8u;
const QUADS = 2u;
const ROWS = 8u;

fn tile_others() -> u32 {
  return 4u * SUBGROUP;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  attend(group, thread_of(group, lane));
}

fn thread_of(group: vec3u, index: u32) -> Thread {
  let first = group.x * ROWS;
  let column = 4u * index;
  return Thread(first, min(first + ROWS, params.R) - 1u, first, column, group.z * tile_others() + column, index, group.y);
}

fn turned(m: mat4x4f, turn: u32) -> mat4x4f {
  return mat4x4f(
    subgroupShuffle(m[0], turn),
    subgroupShuffle(m[1], turn),
    subgroupShuffle(m[2], turn),
    subgroupShuffle(m[3], turn),
  );
}

fn own_quads(pair: bool, t: Thread, row: u32, d: u32) -> mat4x4f {
  return mat4x4f(
    own_quad(pair, row_start(t, min(row, t.last)), d),
    own_quad(pair, row_start(t, min(row + 1u, t.last)), d),
    own_quad(pair, row_start(t, min(row + 2u, t.last)), d),
    own_quad(pair, row_start(t, min(row + 3u, t.last)), d),
  );
}

/// own · other of the tile that begins at j; others from `end` on are read as the last one.
fn scores(pair: bool, t: Thread, j: u32, end: u32) -> Rows {
  let D = params.head_dim;
  let o0 = row_start(t, min(j + t.column, end - 1u));
  let o1 = row_start(t, min(j + t.column + 1u, end - 1u));
  let o2 = row_start(t, min(j + t.column + 2u, end - 1u));
  let o3 = row_start(t, min(j + t.column + 3u, end - 1u));
  var s = Rows();
  for (var d0 = 0u; d0 < D; d0 += 4u * SUBGROUP) {
    let mine = min(d0 + 4u * t.lane, D - 4u);
    let upper = own_quads(pair, t, t.row, mine);
    let lower = own_quads(pair, t, t.row + 4u, mine);
    let turns = min(SUBGROUP, (D - d0) / 4u);
    for (var turn = 0u; turn < turns; turn++) {
      let d = d0 + 4u * turn;
      let b = transpose(mat4x4f(
        other_quad(pair, o0, d),
        other_quad(pair, o1, d),
        other_quad(pair, o2, d),
        other_quad(pair, o3, d),
      ));
      s.upper = fma_quad(s.upper, turned(upper, turn), b);
      s.lower = fma_quad(s.lower, turned(lower, turn), b);
    }
  }
  return s;
}

/// Makes weights ready for add_others: here every lane has its own.
fn keep_weights(t: Thread, weights: Rows) {}

/// sum + weights · others, for the lane's four dims. Weights of others from `end` on are zero.
fn add_others(pair: bool, t: Thread, sum: Rows, weights: Rows, j: u32, end: u32) -> Rows {
  let d = min(t.dim, params.head_dim - 4u);
  var total = sum;
  let turns = min(SUBGROUP, (end - j + 3u) / 4u);
  for (var turn = 0u; turn < turns; turn++) {
    let o = j + 4u * turn;
    let b = mat4x4f(
      other_quad(pair, row_start(t, o), d),
      other_quad(pair, row_start(t, min(o + 1u, end - 1u)), d),
      other_quad(pair, row_start(t, min(o + 2u, end - 1u)), d),
      other_quad(pair, row_start(t, min(o + 3u, end - 1u)), d),
    );
    total.upper = fma_quad(total.upper, turned(weights.upper, turn), b);
    total.lower = fma_quad(total.lower, turned(weights.lower, turn), b);
  }
  return total;
}

/// The facts of the rows row .. row + 3.
fn quad_facts(t: Thread, row: u32) -> mat4x4f {
  let mine = row_facts(t, min(row + t.lane % 4u, t.last));
  return mat4x4f(
    subgroupShuffle(mine, 0u),
    subgroupShuffle(mine, 1u),
    subgroupShuffle(mine, 2u),
    subgroupShuffle(mine, 3u),
  );
}

/// The maximum over the threads that share four rows.
fn row_max(t: Thread, mine: vec4f) -> vec4f {
  var peak = mine;
  for (var half = SUBGROUP / 2u; half > 0u; half >>= 1u) {
    peak = max(peak, subgroupShuffle(peak, t.lane ^ half));
  }
  return peak;
}

/// The sum over the threads that share four rows.
fn row_sum(t: Thread, mine: vec4f) -> vec4f {
  var sum = mine;
  for (var half = SUBGROUP / 2u; half > 0u; half >>= 1u) {
    sum += subgroupShuffle(sum, t.lane ^ half);
  }
  return sum;
}
