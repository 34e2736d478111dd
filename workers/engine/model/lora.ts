/**
 * LoRA (Hu et al., 2021) as peft has it: a linear's output gains lora_alpha / r * dropout(x) · lora_aᵀ · lora_bᵀ. What an
 * adapter is called, which linears carry one, and how it is drawn; Parameters.linear (neox.ts) records it.
 */

import { NagiError } from "../../../src/shared/errors";
import type { NeoxConfig } from "./neox-config";
import { EMBEDDING, type HeadSpec, isTrainedHead, neoxParameterShapes, OUTPUT_EMBEDDING } from "./shapes";

/** peft's LoraConfig, as far as the engine has it; a stage's `peft` is one. */
export interface LoraOptions {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  /** Names of linears, whole (`gpt_neox.layers.0.attention.dense`) or their last parts (`dense`), as in peft. */
  readonly target_modules: readonly string[];
  /** Factor lora_alpha / sqrt(r) instead of lora_alpha / r. */
  readonly use_rslora?: boolean;
}

/** The output matrix as a linear that may carry an adapter. */
export const OUTPUT_MODULE = "embed_out";

const PREFIX = "base_model.model.";

/** Name of an adapter's matrix, as peft writes it: A is [r, inputs], B is [outputs, r]. */
export function loraName(module: string, matrix: "A" | "B"): string {
  return `${PREFIX}${module}.lora_${matrix}.weight`;
}

/** Whether a parameter belongs to an adapter. */
export function isLora(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The factor of the side branch. */
export function loraFactor({ r, lora_alpha, use_rslora }: LoraOptions): number {
  return lora_alpha / (use_rslora ? Math.sqrt(r) : r);
}

/** Linears of the model that may carry an adapter: name -> [outputs, inputs]. Tied embeddings have an output matrix too. */
export function loraLinears(config: NeoxConfig, head: HeadSpec): Map<string, readonly [number, number]> {
  const linears = new Map<string, readonly [number, number]>();
  const shapes = new Map(neoxParameterShapes(config, head));
  if (head.kind === "causal-lm") shapes.set(OUTPUT_EMBEDDING, [config.vocab_size, config.hidden_size]);
  for (const [name, [outputs, inputs]] of shapes) {
    if (outputs === undefined || inputs === undefined || name === EMBEDDING || isTrainedHead(name)) continue;
    linears.set(name.slice(0, -".weight".length), [outputs, inputs]);
  }
  return linears;
}

/** Whether a target names a linear: wholly, or its last parts. */
export function isTarget(module: string, target: string): boolean {
  return module === target || module.endsWith(`.${target}`);
}

/**
 * Names and shapes of the adapters' matrices, in the order of the forward pass.
 * @throws NagiError config.invalid {file, path, problem, allowed} where a target is no linear of the model.
 */
export function loraShapes(
  config: NeoxConfig,
  head: HeadSpec,
  { r, target_modules }: LoraOptions,
): Map<string, readonly number[]> {
  const linears = loraLinears(config, head);
  for (const target of target_modules)
    if (![...linears.keys()].some((module) => isTarget(module, target))) throw unknownTarget(target, linears.keys());
  const shapes = new Map<string, readonly number[]>();
  for (const [module, [outputs, inputs]] of linears) {
    if (!target_modules.some((target) => isTarget(module, target))) continue;
    shapes.set(loraName(module, "A"), [r, inputs]);
    shapes.set(loraName(module, "B"), [outputs, r]);
  }
  return shapes;
}

function unknownTarget(target: string, modules: Iterable<string>): NagiError {
  const allowed = [...new Set([...modules].map((module) => module.split(".").at(-1) ?? module))].join(", ");
  const problem = `names ${JSON.stringify(target)}, which is no linear of this model`;
  return new NagiError("config.invalid", `peft.target_modules ${problem}: take some of ${allowed}`, {
    file: "",
    path: "peft.target_modules",
    problem,
    allowed,
  });
}

/**
 * Fresh adapters as peft draws them: A from kaiming_uniform with a = sqrt(5), which is uniform in ±1 / sqrt(inputs); B is
 * zero, so that the model begins as its base.
 * @param uniform numbers in [0, 1), from a seeded generator.
 */
export function drawLora(
  shapes: ReadonlyMap<string, readonly number[]>,
  uniform: () => number,
): Map<string, Float32Array> {
  const tensors = new Map<string, Float32Array>();
  for (const [name, [rows = 0, columns = 0]] of shapes) {
    const tensor = new Float32Array(rows * columns);
    const bound = 1 / Math.sqrt(columns);
    if (name.endsWith(".lora_A.weight"))
      for (let i = 0; i < tensor.length; i++) tensor[i] = bound * (2 * uniform() - 1);
    tensors.set(name, tensor);
  }
  return tensors;
}
