/** Before a trainer allocates anything: whether its buffers are within what the adapter grants. */

import { NagiError } from "../../../src/shared/errors";
import type { Gpu } from "../gpu/gpu";
import { type BufferNeed, type PreflightAdvice, preflight } from "../gpu/preflight";
import type { NeoxConfig } from "../model/neox-config";
import type { ParameterLayout } from "../model/parameter-layout";
import { arenaBlocks } from "../plan/blocks";
import { layOut } from "../plan/memory";
import { Graph } from "../plan/record";
import { schedule } from "../plan/schedule";
import { type ProgramSpec, recordProgram } from "./programs";
import type { Task } from "./tasks";

const ADVICE: Readonly<Record<PreflightAdvice, string>> = {
  smaller_model: "a smaller model",
  smaller_batch: "fewer tokens a micro-batch",
  other_adapter: "another GPU adapter",
};

/**
 * Refuses a model and its largest plan where a buffer is larger than the adapter grants.
 * @throws NagiError gpu.limit {what, needed, granted} (bytes), the worst of all problems.
 */
export function checkFit(
  gpu: Gpu,
  model: {
    readonly config: NeoxConfig;
    readonly task: Task;
    readonly store: ParameterLayout;
    readonly recompute: boolean;
  },
  spec: ProgramSpec,
): void {
  const weights: BufferNeed[] = model.store.groups.flatMap(({ trainable, bytes }, index) =>
    (trainable ? ["weights", "gradients", "exp_avg", "exp_avg_sq"] : ["weights"]).map((kind) => {
      return { what: `${kind} ${index}`, bytes };
    }),
  );
  const activations = activationNeeds(gpu, model, spec);
  const [worst] = preflight([...weights, ...activations], gpu.limits, {
    growsWithBatch: (need) => activations.includes(need),
  });
  if (!worst) return;
  const { what, needed, granted, kind, advice } = worst;
  const limit = kind === "buffer" ? "maxBufferSize" : "maxStorageBufferBindingSize";
  throw new NagiError(
    "gpu.limit",
    `"${what}" needs ${needed} bytes, the adapter grants ${granted} (${limit}): use ${advice.map((one) => ADVICE[one]).join(" or ")}`,
    { what, needed, granted },
  );
}

/** The buffers of the activations; where one tensor is too large for any, that tensor. */
function activationNeeds(gpu: Gpu, model: Parameters<typeof checkFit>[1], spec: ProgramSpec): BufferNeed[] {
  const graph = new Graph();
  const { loss, outputs } = recordProgram(graph, model, spec);
  const derived = schedule(graph, {
    ...(spec.purpose === "train" && loss ? { loss } : {}),
    outputs: [...(loss ? [loss] : []), ...Object.values(outputs)],
    accumulate: false,
    capabilities: gpu.capabilities,
    recompute: model.recompute,
  });
  const { blocks } = arenaBlocks(derived);
  const granted = Math.floor(gpu.capabilities.maxStorageBufferBindingSize / 256) * 256;
  const tooLarge = blocks.filter(({ bytes }) => !(bytes <= granted));
  if (tooLarge.length > 0) return tooLarge.map(({ label, bytes }) => ({ what: label, bytes }));
  return layOut(blocks, [], granted).banks.map((bytes, index) => ({ what: `activations ${index}`, bytes }));
}
