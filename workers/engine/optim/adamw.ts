/**
 * torch.optim.AdamW after torch.nn.utils.clip_grad_norm_, over the flat arenas of a ParameterStore: one partial-norm
 * dispatch a shard, one that finishes the norm, one update a shard. Decay applies to every trained tensor.
 */

import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import { adamw } from "../kernels/adamw";
import { normFinal } from "../kernels/norm-final";
import { normPartial, normPartialCount } from "../kernels/norm-partial";
import type { Shard } from "../model/params";

export interface AdamWOptions {
  readonly betas: readonly [beta1: number, beta2: number];
  readonly eps: number;
  /** Times the learning rate, taken off every trained tensor before the update. */
  readonly weight_decay: number;
  /** Largest global L2 norm of the gradient; 0 switches clipping off. */
  readonly max_grad_norm: number;
}

export class AdamW {
  private readonly host = new Float32Array(4);

  private constructor(
    private readonly gpu: Gpu,
    private readonly options: AdamWOptions,
    private readonly scalars: BufferSlice,
    private readonly partial: BufferSlice,
    /** Compute the norm of the gradient and the clip factor. */
    readonly norm: readonly Dispatch[],
    /** Apply one step. */
    readonly update: readonly Dispatch[],
  ) {}

  /**
   * Prepares all dispatches.
   * @param norm f32 [2], written each step: the gradient's norm before clipping, and the clip factor.
   */
  static async create(gpu: Gpu, shards: readonly Shard[], options: AdamWOptions, norm: BufferSlice): Promise<AdamW> {
    const [beta1, beta2] = options.betas;
    const counts = shards.map(({ elements }) => normPartialCount(elements));
    const count = counts.reduce((sum, one) => sum + one, 0);
    const partial = gpu.createBuffer("gradient norm partials", 4 * count);
    const scalars = gpu.createBuffer("optimizer scalars", 16);
    let first = 0;
    const partials = shards.map(({ elements, gradients }, index) => {
      const dispatch = gpu.dispatch({
        label: `gradient norm ${index}`,
        kernel: normPartial.vec4,
        bindings: { x: gradients, partial },
        params: { N: elements, first },
      });
      first += counts[index] ?? 0;
      return dispatch;
    });
    const final = gpu.dispatch({
      label: "gradient norm",
      kernel: normFinal,
      bindings: { partial, norm },
      params: { count, max_grad_norm: options.max_grad_norm },
    });
    const updates = shards.map(({ elements, weights, gradients, exp_avg, exp_avg_sq }, index) =>
      gpu.dispatch({
        label: `adamw ${index}`,
        kernel: adamw.vec4,
        bindings: { weight: weights, grad: gradients, exp_avg, exp_avg_sq, scalars, norm },
        params: {
          N: elements,
          beta2,
          one_minus_beta1: 1 - beta1,
          one_minus_beta2: 1 - beta2,
          eps: options.eps,
        },
      }),
    );
    return new AdamW(
      gpu,
      options,
      scalars,
      partial,
      await Promise.all([...partials, final]),
      await Promise.all(updates),
    );
  }

  /** Bytes of its own buffers. */
  get bytes(): number {
    return this.scalars.size + this.partial.size;
  }

  /** Sends the scalars of a step; ordered with submits. `step` counts from 1. */
  prepare(step: number, learning_rate: number): void {
    const [beta1, beta2] = this.options.betas;
    this.host[0] = learning_rate / (1 - beta1 ** step);
    this.host[1] = Math.sqrt(1 - beta2 ** step);
    this.host[2] = 1 - learning_rate * this.options.weight_decay;
    this.gpu.write(this.scalars, this.host);
  }

  destroy(): void {
    this.gpu.freeBuffer(this.scalars);
    this.gpu.freeBuffer(this.partial);
  }
}
