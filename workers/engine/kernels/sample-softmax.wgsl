// What the kernels of sampling share. `settings` is temperature, top_k, top_p. `partial` has a row a text, floats as bits:
// of each chunk of the vocabulary its largest logit, that one's index, the mass of all its logits and the mass of those
// that are kept (both relative to the largest); then the order of the least logit that is kept, and the index from which
// on logits equal to it are kept.

const PEAK = 0u;
const PLACE = 1u;
const MASS = 2u;
const KEPT_MASS = 3u;

/// Where the row of a text has a field of a chunk; chunk = params.chunks: the threshold (field 0) and the index (field 1).
fn cell(text: u32, chunk: u32, field: u32) -> u32 {
  return text * (4u * params.chunks + 2u) + 4u * chunk + field;
}

/// Below every logit. Not infinity: WGSL lets compilers assume there is none.
const LOWEST = -3.0e38;

/// 1 / temperature; a temperature of 0 counts as 1.
fn inverse_temperature() -> f32 {
  return 1.0 / select(settings[0], 1.0, settings[0] == 0.0);
}

fn limits_count() -> bool {
  return settings[1] >= 1.0 && settings[1] < f32(params.V);
}

fn limits_mass() -> bool {
  return settings[2] < 1.0;
}

/// Whether top-k or top-p leave anything out.
fn limited() -> bool {
  return settings[0] != 0.0 && (limits_count() || limits_mass());
}

/// Unsigned integers in the order of the numbers.
fn order(logit: f32) -> u32 {
  let bits = bitcast<u32>(logit);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}
