// Folds one chunk of logits [R, N] (vocabulary entries first .. first + N - 1), times `scale`, into running [R, 4]: the
// maximum m so far, the sum of exp(x - m), the sum of exp(x - m) (x - m), the target's x. Rows without a target are left
// alone. One workgroup a row, fixed order. START: the first chunk.
override START: u32 = 0u;
struct Params { R: u32, N: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<i32>;
@group(0) @binding(2) var<storage, read_write> running: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

/// Below every logit. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;
var<workgroup> peaks: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  // Uniform for the workgroup, so the barriers below stay legal.
  if (row >= params.R || targets[row] < 0) {
    return;
  }
  let begin = row * params.N;
  var peak = LOWEST;
  for (var i = lane; i < params.N; i += 64u) {
    peak = max(peak, params.scale * logits[begin + i]);
  }
  peaks[lane] = peak;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (lane < half) {
      peaks[lane] = max(peaks[lane], peaks[lane + half]);
    }
    workgroupBarrier();
  }
  peak = peaks[0];
  var sums = vec2f();
  for (var i = lane; i < params.N; i += 64u) {
    let below = params.scale * logits[begin + i] - peak;
    let weight = exp(below);
    sums += vec2f(weight, weight * below);
  }
  sums = total64(sums, lane);
  if (lane != 0u) {
    return;
  }
  var target_logit = 0.0;
  if (START == 0u) {
    let before = running[4u * row];
    let next = max(before, peak);
    sums = shifted(vec2f(running[4u * row + 1u], running[4u * row + 2u]), before - next) + shifted(sums, peak - next);
    peak = next;
    target_logit = running[4u * row + 3u];
  }
  let offset = targets[row] - i32(params.first);
  if (offset >= 0 && offset < i32(params.N)) {
    target_logit = params.scale * logits[begin + u32(offset)];
  }
  running[4u * row] = peak;
  running[4u * row + 1u] = sums.x;
  running[4u * row + 2u] = sums.y;
  running[4u * row + 3u] = target_logit;
}

// Both sums where the maximum they refer to is `by` (not positive) lower than the new one.
fn shifted(sums: vec2f, by: f32) -> vec2f {
  let factor = exp(by);
  return factor * vec2f(sums.x, sums.y + by * sums.x);
}
