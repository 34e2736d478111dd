/** Before a trainer allocates anything: whether its buffers are within what the adapter grants. */

import { NagiError } from "../../../src/shared/errors";
import type { Capabilities, Gpu } from "../gpu/gpu";
import { type BufferNeed, type PreflightAdvice, preflight } from "../gpu/preflight";
import type { NeoxConfig } from "../model/neox-config";
import type { ParameterLayout } from "../model/parameter-layout";
import { arenaBlocks } from "../plan/blocks";
import { layOut } from "../plan/memory";
import { Graph } from "../plan/record";
import { schedule } from "../plan/schedule";
import type { Recompute } from "../plan/steps";
import { type ProgramSpec, recordProgram } from "./programs";
import type { Task } from "./tasks";

const ADVICE: Readonly<Record<PreflightAdvice, string>> = {
  smaller_model: "a smaller model",
  smaller_batch: "fewer tokens a micro-batch",
  other_adapter: "another GPU adapter",
};

/** A model and its largest plan. */
export interface Fit {
  readonly config: NeoxConfig;
  readonly task: Task;
  readonly store: ParameterLayout;
  readonly spec: ProgramSpec;
}

/** Bytes of activations above which what is quickly made is not kept for the backward pass. */
const LARGE = 256 * 2 ** 20;

/**
 * What a trainer's plans compute again in the backward pass, and the buffers of its activations then; where one tensor is
 * too large for any, that tensor. Without gradient_checkpointing large models still do not keep what is made in a moment.
 */
export function planActivations(
  capabilities: Capabilities,
  fit: Fit,
  gradient_checkpointing: boolean,
): { readonly recompute: Recompute; readonly needs: readonly BufferNeed[] } {
  const planned = (recompute: Recompute) => ({ recompute, needs: activationNeeds(capabilities, fit, recompute) });
  if (gradient_checkpointing) return planned("segments");
  const all = planned("nothing");
  return all.needs.reduce((sum, { bytes }) => sum + bytes, 0) > LARGE ? planned("quick") : all;
}

/**
 * Refuses a model and its largest plan where a buffer is larger than the adapter grants.
 * @throws NagiError gpu.limit {what, needed, granted} (bytes), the worst of all problems.
 */
export function checkFit(gpu: Gpu, store: ParameterLayout, activations: readonly BufferNeed[]): void {
  const weights: BufferNeed[] = store.groups.flatMap(({ trainable, bytes }, index) =>
    (trainable ? ["weights", "gradients", "exp_avg", "exp_avg_sq"] : ["weights"]).map((kind) => {
      return { what: `${kind} ${index}`, bytes };
    }),
  );
  const { maxBufferSize } = gpu.limits;
  const { maxStorageBufferBindingSize } = gpu.capabilities;
  const [worst] = preflight(
    [...weights, ...activations],
    { maxBufferSize, maxStorageBufferBindingSize },
    { growsWithBatch: (need) => activations.includes(need) },
  );
  if (!worst) return;
  const { what, needed, granted, kind, advice } = worst;
  const limit = kind === "buffer" ? "maxBufferSize" : "maxStorageBufferBindingSize";
  throw new NagiError(
    "gpu.limit",
    `"${what}" needs ${needed} bytes, the adapter grants ${granted} (${limit}): use ${advice.map((one) => ADVICE[one]).join(" or ")}`,
    { what, needed, granted },
  );
}

function activationNeeds(capabilities: Capabilities, fit: Fit, recompute: Recompute): BufferNeed[] {
  const { spec } = fit;
  const graph = new Graph();
  const { loss, outputs } = recordProgram(graph, fit, spec);
  const derived = schedule(graph, {
    ...(spec.purpose === "train" && loss ? { loss } : {}),
    outputs: [...(loss ? [loss] : []), ...Object.values(outputs)],
    accumulate: false,
    capabilities,
    recompute,
  });
  const { blocks } = arenaBlocks(derived);
  const granted = Math.floor(capabilities.maxStorageBufferBindingSize / 256) * 256;
  const tooLarge = blocks.filter(({ bytes }) => !(bytes <= granted));
  if (tooLarge.length > 0) return tooLarge.map(({ label, bytes }) => ({ what: label, bytes }));
  return layOut(blocks, [], granted).banks.map((bytes, index) => ({ what: `activations ${index}`, bytes }));
}
