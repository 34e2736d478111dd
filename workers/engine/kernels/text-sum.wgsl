// y [B] = the sum of x over the tokens [first, end) of each text, in a fixed order. One workgroup a text.
struct Params { B: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> first: array<i32>;
@group(0) @binding(2) var<storage, read> end: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let text = group.y * groups.x + group.x;
  // Uniform for the workgroup, so the barriers in total64 stay legal.
  if (text >= params.B) {
    return;
  }
  var sum = 0.0;
  for (var t = u32(first[text]) + lane; t < u32(end[text]); t += 64u) {
    sum += x[t];
  }
  let all = total64(sum, lane);
  if (lane == 0u) {
    y[text] = all;
  }
}
