// erf to about one ulp: a polynomial up to 0.93, 1 - exp(polynomial) above (after N. Juffa).
fn erf(a: E) -> E {
  let t = abs(a);
  let s = a * a;
  var far = fma(fma(E(-1.72853470e-5), t, E(3.83197126e-4)), s, fma(E(-3.88396438e-3), t, E(2.42546219e-2)));
  far = fma(far, t, E(-1.06777877e-1));
  far = fma(far, t, E(-6.34846687e-1));
  far = fma(far, t, E(-1.28717512e-1));
  far = fma(far, t, -t);
  // Beyond 4 the polynomial is not fitted and erf is 1 in f32.
  far = select(E(1.0) - exp(far), E(1.0), t > E(4.0));
  var near = fma(E(-5.96761703e-4), s, E(4.99119423e-3));
  near = fma(near, s, E(-2.67681349e-2));
  near = fma(near, s, E(1.12819925e-1));
  near = fma(near, s, E(-3.76125336e-1));
  near = fma(near, s, E(1.28379166e-1));
  near = fma(near, a, a);
  return select(near, sign(a) * far, t > E(0.927734375));
}
