// Keys and values of R tokens into the caches: row text * length + position of each.
struct Params { R: u32, W: u32, length: u32 }
@group(0) @binding(0) var<storage, read> k: array<E>;
@group(0) @binding(1) var<storage, read> v: array<E>;
@group(0) @binding(2) var<storage, read> text: array<i32>;
@group(0) @binding(3) var<storage, read> position_ids: array<i32>;
@group(0) @binding(4) var<storage, read_write> k_cache: array<E>;
@group(0) @binding(5) var<storage, read_write> v_cache: array<E>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.W / WIDTH;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= params.R * width) {
    return;
  }
  let r = i / width;
  if (text[r] < 0) {
    return;
  }
  let row = u32(text[r]) * params.length + u32(position_ids[r]);
  k_cache[row * width + i % width] = k[i];
  v_cache[row * width + i % width] = v[i];
}
