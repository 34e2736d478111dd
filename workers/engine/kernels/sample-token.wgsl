// The first token, in the order of the vocabulary, at which the kept mass adds up to more than a random share of it; the
// likeliest one where the temperature is 0. One lane a text: it walks over the sums of the chunks, then over one chunk.
struct Params { B: u32, V: u32, N: u32, chunks: u32, size: u32, zero: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> partial: array<u32>;
@group(0) @binding(2) var<storage, read> settings: array<f32>;
@group(0) @binding(3) var<storage, read_write> texts: array<i32>;
@group(0) @binding(4) var<storage, read_write> token: array<i32>;
@group(0) @binding(5) var<storage, read_write> position: array<i32>;
@group(0) @binding(6) var<storage, read_write> ids: array<i32>;
@group(0) @binding(7) var<storage, read_write> logprobs: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

/// Fields of a text.
const SEED_LOW = 0u;
const SEED_HIGH = 1u;
const INDEX = 2u;
const EOS = 3u;
const ROOM = 4u;
const COUNT = 5u;
const FIELDS = 6u;

/// 2^-24: random bits become numbers from 0 to just below 1.
const TICK = 5.9604644775390625e-8;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let text = id.x;
  if (text >= params.B) {
    return;
  }
  let fields = text * FIELDS;
  let room = texts[fields + ROOM];
  if (room <= 0) {
    return;
  }
  let row = text * params.V;
  let inverse = inverse_temperature();
  var peak = LOWEST;
  var chosen = 0u;
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let highest = bitcast<f32>(partial[cell(text, chunk, PEAK)]);
    if (highest > peak) {
      peak = highest;
      chosen = partial[cell(text, chunk, PLACE)];
    }
  }
  var all = 0.0;
  var kept = 0.0;
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = cell(text, chunk, 0u);
    let factor = exp((bitcast<f32>(partial[at + PEAK]) - peak) * inverse);
    all += factor * bitcast<f32>(partial[at + MASS]);
    kept += factor * bitcast<f32>(partial[at + KEPT_MASS]);
  }

  if (settings[0] != 0.0) {
    let place = u32(position[text] + 1);
    let seed = vec2u(u32(texts[fields + SEED_LOW]), u32(texts[fields + SEED_HIGH]));
    let bits = philox(vec4u(u32(texts[fields + INDEX]), place, 0u, 0u), seed, params.zero).x;
    // Where rounding leaves nothing to reach the goal with, the last chunk and the last token with any mass are taken.
    var goal = f32(bits >> 8u) * TICK * kept;
    var begin = 0u;
    var left = goal;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
      let at = cell(text, chunk, 0u);
      let m = exp((bitcast<f32>(partial[at + PEAK]) - peak) * inverse) * bitcast<f32>(partial[at + KEPT_MASS]);
      if (m > 0.0) {
        begin = chunk * params.size;
        left = goal;
        if (goal < m) {
          break;
        }
        goal -= m;
      }
    }
    let threshold = partial[cell(text, params.chunks, 0u)];
    let first_equal = partial[cell(text, params.chunks, 1u)];
    for (var i = begin; i < min(begin + params.size, params.V); i++) {
      let logit = logits[row + i];
      let key = order(logit);
      let m = exp((logit - peak) * inverse);
      if (m > 0.0 && (key > threshold || (key == threshold && i >= first_equal))) {
        chosen = i;
        if (left < m) {
          break;
        }
        left -= m;
      }
    }
  }

  let count = u32(texts[fields + COUNT]);
  token[text] = i32(chosen);
  position[text] += 1;
  ids[text * params.N + count] = i32(chosen);
  logprobs[text * params.N + count] = (logits[row + chosen] - peak) * inverse - log(all);
  texts[fields + COUNT] += 1;
  texts[fields + ROOM] = select(room - 1, 0, i32(chosen) == texts[fields + EOS]);
}
