// First level of sampling: what a text's softmax needs to know of one chunk of the vocabulary. Everything counts as kept;
// sample-threshold and sample-kept take off what is not. One workgroup a chunk.
struct Params { B: u32, V: u32, chunks: u32, size: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> peaks: array<f32, 64>;
var<workgroup> places: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * params.V;
  let begin = group.x * params.size;
  let end = min(begin + params.size, params.V);
  var peak = LOWEST;
  var place = begin;
  for (var i = begin + lane; i < end; i += 64u) {
    let logit = logits[row + i];
    if (logit > peak) {
      peak = logit;
      place = i;
    }
  }
  peaks[lane] = peak;
  places[lane] = place;
  workgroupBarrier();
  // Of equal logits the first counts, whichever lane saw it.
  if (lane < 8u) {
    for (var i = 8u * lane; i < 8u * lane + 8u; i++) {
      if (peaks[i] > peak || (peaks[i] == peak && places[i] < place)) {
        peak = peaks[i];
        place = places[i];
      }
    }
  }
  workgroupBarrier();
  if (lane < 8u) {
    peaks[lane] = peak;
    places[lane] = place;
  }
  workgroupBarrier();
  for (var i = 0u; i < 8u; i++) {
    if (peaks[i] > peak || (peaks[i] == peak && places[i] < place)) {
      peak = peaks[i];
      place = places[i];
    }
  }
  let inverse = inverse_temperature();
  var sum = 0.0;
  for (var i = begin + lane; i < end; i += 64u) {
    sum += exp((logits[row + i] - peak) * inverse);
  }
  sum = total64(sum, lane);
  if (lane == 0u) {
    let out = cell(group.y, group.x, 0u);
    partial[out + PEAK] = bitcast<u32>(peak);
    partial[out + PLACE] = place;
    partial[out + MASS] = bitcast<u32>(sum);
    partial[out + KEPT_MASS] = bitcast<u32>(sum);
    if (group.x == 0u) {
      partial[cell(group.y, params.chunks, 0u)] = 0u;
      partial[cell(group.y, params.chunks, 1u)] = 0u;
    }
  }
}
