// Philox 4x32-10 (Salmon et al., SC 2011): random bits that are a function of a counter and a key, so that no state is
// kept and any draw can be repeated alone.
fn full_product(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let cross = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2u((a >> 16u) * (b >> 16u) + (middle >> 16u) + (cross >> 16u), a * b);
}

/// `zero`: 0, where no compiler sees it, so that none unrolls the rounds.
fn philox(counter: vec4u, key: vec2u, zero: u32) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = zero; round < 10u; round++) {
    let p = full_product(0xD2511F53u, c.x);
    let r = full_product(0xCD9E8D57u, c.z);
    c = vec4u(r.x ^ c.y ^ k.x, r.y, p.x ^ c.w ^ k.y, p.y);
    k += vec2u(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}
