/** Which parameters a trainer has, which of them are trained, and how the others are stored. */

import { NagiError } from "../../../src/shared/errors";
import { Random } from "../../../src/shared/stats/random";
import type { Capabilities } from "../gpu/capabilities";
import { drawLora, isLora, type LoraOptions, loraShapes } from "../model/lora";
import type { NeoxConfig } from "../model/neox-config";
import { ParameterLayout, type ParameterSpec } from "../model/parameter-layout";
import { EMBEDDING, type HeadSpec, isTrainedHead, neoxParameterShapes, OUTPUT_EMBEDDING } from "../model/shapes";

export interface ModelLayoutOptions {
  readonly lora?: LoraOptions;
  readonly trainable?: (name: string) => boolean;
  readonly frozen?: boolean;
  readonly frozen_dtype?: "f32" | "f16";
  readonly seed?: number;
}

export interface ModelLayout {
  readonly layout: ParameterLayout;
  /** Adapters as peft draws them, for those that no file holds. */
  readonly fresh: () => ReadonlyMap<string, Float32Array>;
}

/** Random numbers of the adapters, apart from everything else that is drawn with a run's seed. */
const LORA_STREAM = 0x10_4a;

/**
 * Lays out the parameters without allocating anything.
 * @throws NagiError gpu.limit; config.invalid {file, path, problem, allowed} where nothing would be trained or a target of
 * the adapters does not exist.
 */
export function layOutModel(
  capabilities: Pick<Capabilities, "f16" | "maxStorageBufferBindingSize">,
  config: NeoxConfig,
  head: HeadSpec,
  options: ModelLayoutOptions,
): ModelLayout {
  const { lora, frozen, seed = 0 } = options;
  const adapters = lora ? loraShapes(config, head, lora) : new Map<string, readonly number[]>();
  const shapes = new Map([...neoxParameterShapes(config, head), ...adapters]);
  const chosen = options.trainable ?? (lora ? (name: string) => isLora(name) || isTrainedHead(name) : () => true);
  const trainable = frozen ? () => false : chosen;
  if (!frozen && ![...shapes.keys()].some(trainable)) throw nothingToTrain();
  const stored = options.frozen_dtype ?? (lora && capabilities.f16 ? "f16" : "f32");
  const specs = [...shapes].map(([name, shape]): ParameterSpec => {
    const half = stored === "f16" && !trainable(name) && !isLora(name) && !isTrainedHead(name) && shape.length === 2;
    const vocabulary = name === EMBEDDING || name === OUTPUT_EMBEDDING;
    return { name, shape, trainable: trainable(name), element: half ? "f16" : "f32", vocabulary };
  });
  return {
    layout: ParameterLayout.of(specs, capabilities.maxStorageBufferBindingSize, lora),
    fresh: () => {
      const random = Random.seeded(seed, LORA_STREAM);
      return drawLora(adapters, () => random.uniform());
    },
  };
}

function nothingToTrain(): NagiError {
  const problem = "leaves no parameter to train";
  const allowed = "an adapter (peft), or parameters of the model";
  return new NagiError("config.invalid", `The selection of trained parameters ${problem}. Train ${allowed}.`, {
    file: "",
    path: "peft",
    problem,
    allowed,
  });
}
