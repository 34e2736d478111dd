// y (+)= x * factor where the element is kept, else 0. Which ones are kept is a hash of (seed, salt, element) and nothing
// else, so the backward makes the forward's mask again instead of storing it.
override ACCUMULATE: u32 = 0;
struct Params { N: u32, salt: u32, threshold: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> seed: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

/// lowbias32 (Chris Wellons): a bijection that changes about half of the bits for each changed bit.
fn mix(value: u32) -> u32 {
  var h = value;
  h = (h ^ (h >> 16u)) * 0x7feb352du;
  h = (h ^ (h >> 15u)) * 0x846ca68bu;
  return h ^ (h >> 16u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.N) {
    return;
  }
  let key = mix(bitcast<u32>(seed[0]) ^ mix(params.salt + 0x9e3779b9u));
  let kept = mix(mix(i ^ key) + key) >= params.threshold;
  let value = select(0.0, x[i] * params.factor, kept);
  if (ACCUMULATE == 1u) {
    y[i] += value;
  } else {
    y[i] = value;
  }
}
