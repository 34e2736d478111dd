// y = x, or y += x: adds up what one kernel could not add itself, and the losses of micro-batches.

override ACCUMULATE: u32 = 0u;

struct Params { N: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.N) {
    return;
  }
  if (ACCUMULATE == 1u) {
    y[i] += x[i];
  } else {
    y[i] = x[i];
  }
}
