// What top-k and top-p leave of each chunk's mass. One workgroup a chunk.
struct Params { B: u32, V: u32, chunks: u32, size: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (!limited()) {
    return;
  }
  let peak = bitcast<f32>(partial[cell(group.y, group.x, PEAK)]);
  let row = group.y * params.V;
  let begin = group.x * params.size;
  let inverse = inverse_temperature();
  let threshold = partial[cell(group.y, params.chunks, 0u)];
  let first_equal = partial[cell(group.y, params.chunks, 1u)];
  var sum = 0.0;
  for (var i = begin + lane; i < min(begin + params.size, params.V); i += 64u) {
    let logit = logits[row + i];
    let key = order(logit);
    if (key > threshold || (key == threshold && i >= first_equal)) {
      sum += exp((logit - peak) * inverse);
    }
  }
  sum = total64(sum, lane);
  if (lane == 0u) {
    partial[cell(group.y, group.x, KEPT_MASS)] = bitcast<u32>(sum);
  }
}
