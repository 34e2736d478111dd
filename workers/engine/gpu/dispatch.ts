import type { Workgroups } from "../kernels/define";

/** A dispatch with everything made: replaying it costs three calls. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
  /** Estimated floating-point operations; 0 for kernels that only move data. */
  readonly flops: number;
  /** The same at worst, where it depends on the data: one text as long as the stream. */
  readonly worstFlops: number;
  /** Bytes of what it binds: it reads or writes about as much. */
  readonly bytes: number;
}
