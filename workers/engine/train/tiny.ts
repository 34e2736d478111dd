/**
 * A tiny model, a tiny data set and a desk to run them at, for tests on a real device. Nothing here stands in for a part
 * of the engine.
 */
import type { ArtefactKind } from "../../../src/shared/protocol/artefact";
import type { RewardStageConfig, RunConfig, SftStageConfig, StageConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_REWARD_STAGE, DEFAULT_SFT_STAGE } from "../../../src/shared/protocol/defaults";
import type { RunEventBody } from "../../../src/shared/protocol/events";
import { Random } from "../../../src/shared/stats/random";
import type { Gpu } from "../gpu/gpu";
import { saveModel } from "../io/hf-model";
import { MapSource } from "../io/source";
import { parseNeoxConfig } from "../model/neox-config";
import { drawParameters, neoxParameterShapes } from "../model/shapes";
import { runStage } from "./run-stage";
import type { Control, DataFile, StageInput, StageOutcome } from "./stage";

const NEOX = {
  architectures: ["GPTNeoXForCausalLM"],
  model_type: "gpt_neox",
  vocab_size: 8192,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 64,
  use_parallel_residual: false,
  rotary_pct: 1,
  tie_word_embeddings: false,
  eos_token_id: 0,
  pad_token_id: 1,
};

/** A language model with random weights, as transformers writes it. Ids are those of the bundled tokenizer. */
export async function tinyModel(tokenizerFiles: ReadonlyMap<string, Uint8Array>): Promise<MapSource> {
  const config = parseNeoxConfig(NEOX);
  const random = Random.seeded(7);
  const shapes = neoxParameterShapes(config, { kind: "causal-lm" });
  const tensors = drawParameters(shapes, 0.2, () => random.normal());
  const files = await saveModel({
    configJson: NEOX,
    architecture: "GPTNeoXForCausalLM",
    padTokenId: 1,
    tensors: [...shapes].map(([name, shape]) => ({ name, shape, data: tensors.get(name) ?? new Float32Array() })),
    tokenizerFiles,
  });
  return new MapSource("tiny", files);
}

const WORDS = {
  positive: ["とても良い", "最高です", "大満足", "また買います"],
  negative: ["とても悪い", "最低です", "がっかり", "もう買いません"],
};

/** `count` rows, a third of them negative; the words give the label away. */
export function tinyRows(count: number, seed: number): DataFile {
  const random = Random.seeded(seed);
  const lines = Array.from({ length: count }, (_, index) => {
    const label = index % 3 === 0 ? "negative" : "positive";
    const some = Array.from({ length: 1 + random.below(4) }, () => WORDS[label][random.below(4)]);
    return JSON.stringify({ sentence: `${index}番目。${some.join("、")}。`, label, review_id: `r${index}` });
  });
  return { name: `rows-${seed}.jsonl`, bytes: new TextEncoder().encode(lines.join("\n")) };
}

export const tinyData = { train: tinyRows(37, 1), validation: tinyRows(12, 2), test: tinyRows(15, 3) };

/** A run of one stage over the tiny rows. */
export function tinyRun(stage: StageConfig): RunConfig {
  return {
    name: "tiny",
    seed: 5,
    model: { model_name_or_path: "tiny", init: "pretrained" },
    data: { train: "train", validation: "validation", test: "test" },
    stages: [stage],
  };
}

/** 10 steps an epoch, 3 epochs; evaluation, checkpoints and logs at different steps. */
export function tinyConfig(stage: Partial<RewardStageConfig>): RunConfig {
  return tinyRun({
    ...DEFAULT_REWARD_STAGE,
    num_train_epochs: 3,
    per_device_train_batch_size: 4,
    learning_rate: 5e-3,
    max_length: 32,
    eval_steps: 7,
    save_steps: 6,
    logging_steps: 2,
    ...stage,
  });
}

/** 14 steps of full training; evaluation, checkpoints and logs at different steps. */
export function tinySft(stage: Partial<SftStageConfig>): RunConfig {
  return tinyRun({
    ...DEFAULT_SFT_STAGE,
    peft: null,
    max_steps: 14,
    per_device_train_batch_size: 4,
    learning_rate: 5e-3,
    max_length: 32,
    eval_steps: 5,
    save_steps: 4,
    logging_steps: 2,
    ...stage,
  });
}

/** A run's storage, control and ears. */
export class Desk {
  readonly events: RunEventBody[] = [];
  readonly artefacts: { kind: ArtefactKind; files: ReadonlyMap<string, Uint8Array> }[] = [];
  readonly saved: { step: number; bytes: Uint8Array }[] = [];
  wanted: ReturnType<Control["state"]> = "run";
  onEvent: (event: RunEventBody) => void = () => undefined;

  constructor(
    private readonly model: MapSource,
    private readonly input: Partial<StageInput> = {},
  ) {}

  run(gpu: Gpu, config: RunConfig, resume = false): Promise<StageOutcome> {
    const [stage] = config.stages;
    if (!stage) throw new Error("a run has a stage");
    return runStage({
      config,
      stage,
      gpu,
      model: this.model,
      adapter: null,
      reward_models: [],
      models: [],
      data: tinyData,
      pairs: null,
      storage: {
        saveCheckpoint: async (step, bytes) => void this.saved.push({ step, bytes: Uint8Array.from(bytes) }),
        loadCheckpoint: async () => this.saved.at(-1)?.bytes ?? null,
      },
      control: { state: () => this.wanted },
      emit: (event) => {
        this.events.push(structuredClone(event));
        this.onEvent(event);
      },
      clock: () => performance.now(),
      resume,
      saveArtefact: async (kind, files) => void this.artefacts.push({ kind, files }),
      ...this.input,
    });
  }

  of<T extends RunEventBody["type"]>(type: T): Extract<RunEventBody, { type: T }>[] {
    return this.events.filter((event): event is Extract<RunEventBody, { type: T }> => event.type === type);
  }

  get states(): string[] {
    return this.of("state").map(({ state }) => state);
  }

  /** What must not depend on interruptions or speed: log, eval and result events, the newest of each step. */
  get curve(): unknown[] {
    const timed = new Set(["tokens_per_second", "eps", "train_runtime"]);
    const kept = this.events.flatMap((event) => {
      if (event.type !== "log" && event.type !== "eval" && event.type !== "result") return [];
      const metrics = Object.fromEntries(Object.entries(event.metrics).filter(([key]) => !timed.has(key)));
      return [{ ...event, metrics }];
    });
    return [...new Map(kept.map((event) => [`${event.type} ${event.step}`, event])).values()].sort(
      (a, b) => a.step - b.step || (a.type < b.type ? -1 : 1),
    );
  }
}
