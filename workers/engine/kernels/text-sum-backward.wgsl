// d_x [R] (+)= d_y of the text a token belongs to, nothing where it belongs to none.
override ACCUMULATE: u32 = 0;
struct Params { R: u32 }
@group(0) @binding(0) var<storage, read> text: array<i32>;
@group(0) @binding(1) var<storage, read> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d_x: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let t = (group.y * groups.x + group.x) * 64u + lane;
  if (t >= params.R) {
    return;
  }
  var slope = 0.0;
  if (text[t] >= 0) {
    slope = d_y[text[t]];
  }
  if (ACCUMULATE == 1u) {
    d_x[t] += slope;
  } else {
    d_x[t] = slope;
  }
}
