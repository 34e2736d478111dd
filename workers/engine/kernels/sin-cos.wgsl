// sin and cos to f32 accuracy for angles up to about 10,000: the built-ins promise 2^-11 only within [-pi, pi].
// pi/2 in three parts, the first two short enough that their products with n are exact.
fn sin_cos(angle: E) -> array<E, 2> {
  let n = round(angle * 0.63661977236758134);
  var r = angle - n * 1.5703125;
  r -= n * 4.837512969970703125e-4;
  r -= n * 7.54978995489188216e-8;
  let z = r * r;
  let s = fma(fma(fma(E(-1.9515295891e-4), z, E(8.3321608736e-3)), z, E(-1.6666654611e-1)) * z, r, r);
  let c = fma(fma(fma(E(2.443315711809948e-5), z, E(-1.388731625493765e-3)), z, E(4.166664568298827e-2)) * z, z, fma(E(-0.5), z, E(1.0)));
  // Quadrant n mod 4 decides which is which, and the signs.
  let quadrant = n - 4.0 * floor(n * 0.25);
  let odd = (quadrant == E(1.0)) | (quadrant == E(3.0));
  let sine = select(s, c, odd) * select(E(1.0), E(-1.0), quadrant >= E(2.0));
  let cosine = select(c, s, odd) * select(E(1.0), E(-1.0), (quadrant == E(1.0)) | (quadrant == E(2.0)));
  return array<E, 2>(sine, cosine);
}
