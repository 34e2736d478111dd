import { defineKernel, linearWorkgroups } from "./define";
import source from "./token-logprob-final.wgsl?raw";

/** logprob, entropy and lse [R] from running [R, 4]; targets i32 [R]. */
export const tokenLogprobFinal = defineKernel({
  name: "token-logprob-final",
  source,
  bindings: { running: "read", targets: "read", logprob: "read_write", entropy: "read_write", lse: "read_write" },
  params: { R: "u32" },
  workgroups: ({ R = 0 }) => linearWorkgroups(R, 64),
});
