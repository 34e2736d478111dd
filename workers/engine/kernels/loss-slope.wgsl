// What the backward of the losses over scores share.
fn sigmoid(t: f32) -> f32 {
  let e = exp(-min(abs(t), 80.0));
  return select(e, 1.0, t >= 0.0) / (1.0 + e);
}

fn put(i: u32, value: f32) {
  if (ACCUMULATE == 1u) {
    d_scores[i] += value;
  } else {
    d_scores[i] = value;
  }
}
