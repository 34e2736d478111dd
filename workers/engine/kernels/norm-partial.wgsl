// Sums of squares of x, CHUNK elements a workgroup, each in a fixed order: partial[first + workgroup].
override CHUNK: u32 = 4096;
struct Params { N: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x: array<E>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let chunk = group.y * groups.x + group.x;
  let start = chunk * (CHUNK / WIDTH);
  let count = params.N / WIDTH;
  // Uniform for the workgroup, so the barriers below stay legal.
  if (start >= count) {
    return;
  }
  let end = min(count, start + CHUNK / WIDTH);
  var squares = E(0.0);
  for (var i = start + lane; i < end; i += 64u) {
    squares = fma(x[i], x[i], squares);
  }
  let all = total64(total(squares), lane);
  if (lane == 0u) {
    partial[params.first + chunk] = all;
  }
}
