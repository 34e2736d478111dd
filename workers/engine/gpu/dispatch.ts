import type { Workgroups } from "../kernels/define";

/** A dispatch with everything made: replaying it costs three calls. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
  /** Estimated floating-point operations (for memory-bound kernels: about the bytes they touch). Splits long submits. */
  readonly work: number;
}
