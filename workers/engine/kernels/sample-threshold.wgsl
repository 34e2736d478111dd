// Where top-k and top-p cut: a radix search over the logits' bits, four bits a pass, in place of sorting. One workgroup a
// text. Loops have params.zero in their bounds, which no compiler knows:
// unrolled, software adapters compile this for a minute.
override LANES: u32 = 128u;
struct Params { B: u32, V: u32, chunks: u32, zero: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

/// One column a lane, one row a digit.
var<workgroup> histogram: array<f32, 16u * LANES>;
var<workgroup> digits: array<f32, 16>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let text = group.x;
  if (!limited()) {
    return;
  }
  let row = text * params.V;
  let inverse = inverse_temperature();
  var peak = LOWEST;
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    peak = max(peak, bitcast<f32>(partial[cell(text, chunk, PEAK)]));
  }

  // Four bits of a key a round: 8 rounds count logits for top-k, 8 add up what top-k has left for top-p. The key that is
  // looked for is the largest such that the logits from it on reach the goal: top_k, or top_p of all their mass.
  let first = select(0u, 8u, !limits_count());
  let last = select(8u, 16u, limits_mass());
  var least = 0u;
  var key = 0u;
  var goal = settings[1];
  var above = 0.0;
  var at_key = 0.0;
  for (var round = first; round < last; round++) {
    let by_mass = round >= 8u;
    if (round == 8u) {
      least = key;
      key = 0u;
      above = 0.0;
    }
    let shift = 4u * (7u - round % 8u);
    for (var digit = params.zero; digit < 16u; digit++) {
      histogram[digit * LANES + lane] = 0.0;
    }
    for (var i = lane; i < params.V; i += LANES) {
      let logit = logits[row + i];
      let mine = order(logit);
      if (((mine >> shift) >> 4u) == key && mine >= least) {
        histogram[((mine >> shift) & 15u) * LANES + lane] += select(1.0, exp((logit - peak) * inverse), by_mass);
      }
    }
    workgroupBarrier();
    if (lane < 16u) {
      var sum = 0.0;
      for (var other = params.zero; other < LANES + params.zero; other++) {
        sum += histogram[lane * LANES + other];
      }
      digits[lane] = sum;
    }
    workgroupBarrier();
    if (round == 8u) {
      goal = 0.0;
      for (var digit = params.zero; digit < 16u; digit++) {
        goal += settings[2] * digits[digit];
      }
    }
    var digit = 15u + params.zero;
    at_key = digits[digit];
    while (digit > 0u && above + at_key < goal) {
      above += at_key;
      digit--;
      at_key = digits[digit];
    }
    key = (key << 4u) | digit;
  }

  if (lane == 0u) {
    // Of equal logits at the threshold top-p drops the first ones, as many as fit into 1 - top_p (a stable sort).
    var drop = 0.0;
    if (limits_mass()) {
      let logit = bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key >= 0x80000000u));
      let one = exp((logit - peak) * inverse);
      drop = min(floor((above + at_key - goal) / one), round(at_key / one) - 1.0);
    }
    var i = 0u;
    while (i < params.V && drop >= 1.0) {
      drop -= select(0.0, 1.0, order(logits[row + i]) == key);
      i++;
    }
    partial[cell(text, params.chunks, 0u)] = key;
    partial[cell(text, params.chunks, 1u)] = i;
  }
}
