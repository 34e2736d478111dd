// Folds one chunk of logits [R, N] (vocabulary entries first .. first + N - 1) into running [R, 3]: the maximum so far,
// the sum of exp(logit - maximum), the target's logit. One workgroup a row, fixed tree. START: the first chunk.
override START: u32 = 0u;
struct Params { R: u32, N: u32, first: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<i32>;
@group(0) @binding(2) var<storage, read_write> running: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

/// Below every logit. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;
var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  // Uniform for the workgroup, so the barriers below stay legal.
  if (row >= params.R) {
    return;
  }
  let begin = row * params.N;
  var peak = LOWEST;
  for (var i = lane; i < params.N; i += 64u) {
    peak = max(peak, logits[begin + i]);
  }
  partial[lane] = peak;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] = max(partial[lane], partial[lane + half]);
    }
    workgroupBarrier();
  }
  peak = partial[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var i = lane; i < params.N; i += 64u) {
    sum += exp(logits[begin + i] - peak);
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    sum = partial[0];
    var target_logit = 0.0;
    if (START == 0u) {
      let before = running[3u * row];
      let next = max(before, peak);
      sum = running[3u * row + 1u] * exp(before - next) + sum * exp(peak - next);
      peak = next;
      target_logit = running[3u * row + 2u];
    }
    let offset = targets[row] - i32(params.first);
    if (offset >= 0 && offset < i32(params.N)) {
      target_logit = logits[begin + u32(offset)];
    }
    running[3u * row] = peak;
    running[3u * row + 1u] = sum;
    running[3u * row + 2u] = target_logit;
  }
}
