/** What a stage needs on the disk: checkpoints while it runs, and what it leaves behind. From shapes alone. */
import type { StageConfig } from "../../../src/shared/protocol/config";
import { KEPT_CHECKPOINTS } from "../io/checkpoint-shelf";
import { LABELS } from "../model/heads";
import { isLora, loraShapes } from "../model/lora";
import { countParameters, type HeadSpec, isTrainedHead, neoxParameterShapes } from "../model/shapes";
import { merged, type StageShapes } from "./stage-shapes";

export interface DiskNeeds {
  readonly parameters: number;
  readonly trainable_parameters: number;
  readonly model_bytes: number;
  readonly checkpoint: { readonly bytes: number; readonly kept: number } | null;
  readonly output_bytes: number;
}

/** A checkpoint holds the weights and both moments of what is trained, each f32. */
const GROUPS = 3;
/** A tensor's entry in a file's header beside its name, and what a checkpoint says beside its tensors. Bytes, about. */
const ENTRY = 80;
const STATE = 4096;
/** A line of an evaluation's generations. Bytes, about. */
const LINE = 1024;

/** @throws NagiError config.invalid where an adapter's targets do not exist. */
export function diskNeeds(stage: StageConfig, shapes: StageShapes): DiskNeeds {
  const { config } = merged(shapes.model);
  const head = headOf(stage);
  const all = neoxParameterShapes(config, head);
  const language = countParameters(neoxParameterShapes(config, { kind: "causal-lm" }));
  const model_bytes = language * shapes.model.stored_bytes;
  const parameters = countParameters(all);
  if (stage.stage === "merge")
    return { parameters, trainable_parameters: 0, model_bytes, checkpoint: null, output_bytes: model_bytes };
  if (stage.stage === "evaluate") {
    const output_bytes = LINE * stage.num_prompts * stage.models.length;
    return { parameters, trainable_parameters: 0, model_bytes, checkpoint: null, output_bytes };
  }
  const trained = stage.peft === null ? all : new Map([...all].filter(([name]) => isTrainedHead(name)));
  if (stage.peft !== null) for (const [name, shape] of loraShapes(config, head, stage.peft)) trained.set(name, shape);
  const trainable_parameters = countParameters(trained);
  const headers = [...trained.keys()].reduce((sum, name) => sum + name.length + ENTRY, 0);
  const adapter = new Map([...trained].filter(([name]) => isLora(name)));
  // Reward models are stored whole, whatever was trained of them.
  const output = stage.stage === "reward" || stage.peft === null ? parameters : countParameters(adapter);
  return {
    parameters,
    trainable_parameters,
    model_bytes,
    checkpoint: { bytes: GROUPS * (4 * trainable_parameters + headers) + STATE, kept: KEPT_CHECKPOINTS },
    output_bytes: 4 * output,
  };
}

/** The most that is on the disk at a time: a checkpoint more while it is written, or the result beside the last ones. */
export function storageNeeded({ checkpoint, output_bytes }: DiskNeeds): number {
  const { bytes, kept } = checkpoint ?? { bytes: 0, kept: 0 };
  return kept * bytes + Math.max(bytes, output_bytes);
}

function headOf(stage: StageConfig): HeadSpec {
  if (stage.stage === "reward") return { kind: "reward", num_labels: LABELS[stage.objective] };
  return { kind: "causal-lm", value_head: stage.stage === "ppo" };
}
