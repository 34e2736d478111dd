// log(1 + exp(t)) to full relative accuracy, also where it is tiny: log1p by the series of atanh, since 1 + e rounds.
fn softplus(t: f32) -> f32 {
  let e = exp(-min(abs(t), 80.0));
  let s = e / (2.0 + e);
  let z = s * s;
  var series = fma(z, 1.0 / 15.0, 1.0 / 13.0);
  series = fma(z, series, 1.0 / 11.0);
  series = fma(z, series, 1.0 / 9.0);
  series = fma(z, series, 1.0 / 7.0);
  series = fma(z, series, 1.0 / 5.0);
  series = fma(z, series, 1.0 / 3.0);
  series = fma(z, series, 1.0);
  return max(t, 0.0) + 2.0 * s * series;
}
