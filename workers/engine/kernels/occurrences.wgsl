// For each of the R ids: whether it is the first of its value, and where the value occurs next (R: nowhere).
// The embedding's gradient walks these chains, so it adds in a fixed order without atomics.
struct Params { R: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read_write> links: array<i32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = (group.y * groups.x + group.x) * 64u + lane;
  if (r >= params.R) {
    return;
  }
  let id = ids[r];
  var next = r + 1u;
  while (next < params.R && ids[next] != id) {
    next++;
  }
  var before = 0u;
  while (before < r && ids[before] != id) {
    before++;
  }
  links[2u * r] = select(0, 1, before == r);
  links[2u * r + 1u] = i32(next);
}
