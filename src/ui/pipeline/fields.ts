/** Which settings of a stage stand in sight, and what the catalogues call them. */
import ja from "../../i18n/ja.json";
import { type StageConfig, stageConfig } from "../../shared/protocol/config";
import { DEFAULT_LORA, defaultStage } from "../../shared/protocol/defaults";
import { outputOf } from "../../shared/protocol/pipeline-slots";
import { type Draft, isObject } from "./draft";
import { stageNode } from "./schema";

export type StageKind = StageConfig["stage"];
export const STAGE_KINDS: readonly StageKind[] = ["sft", "reward", "merge", "ppo", "dpo", "evaluate"];

const BASIC: Readonly<Record<StageKind, readonly string[]>> = {
  sft: ["model", "labels", "num_train_epochs", "per_device_train_batch_size", "learning_rate", "max_length", "peft"],
  reward: [
    "model",
    "objective",
    "num_train_epochs",
    "per_device_train_batch_size",
    "learning_rate",
    "max_length",
    "rows",
  ],
  merge: ["adapter"],
  ppo: [
    "model",
    "reward_model",
    "total_episodes",
    "rollout_batch_size",
    "response_length",
    "learning_rate",
    "kl_coef",
    "target_kl",
    "reward_baseline",
    "reward_scaling",
    "prompt",
  ],
  dpo: ["model", "pairs", "beta", "num_train_epochs", "per_device_train_batch_size", "learning_rate", "prompt"],
  evaluate: ["models", "reward_models", "split", "num_prompts", "prompt", "generation"],
};

/** Settings of a kind of stage: those in sight, then the rest, both in the schema's order where nothing else is said. */
export function fieldsOf(kind: StageKind): { readonly basic: readonly string[]; readonly advanced: readonly string[] } {
  const all = Object.keys(stageNode(kind).properties ?? {}).filter((name) => name !== "stage" && name !== "id");
  return { basic: BASIC[kind], advanced: all.filter((name) => !BASIC[kind].includes(name)) };
}

export type FieldKey = keyof typeof ja.fields;
export type OptionKey = {
  [K in keyof typeof ja.options]: `${K}.${keyof (typeof ja.options)[K] & string}`;
}[keyof typeof ja.options];

export function isFieldKey(key: string): key is FieldKey {
  return Object.hasOwn(ja.fields, key);
}

/** Whether the catalogues say what an option of a setting means. */
export function isOptionKey(key: string): key is OptionKey {
  const [name = "", option = ""] = key.split(".");
  const found: unknown = Object.entries(ja.options).find(([known]) => known === name)?.[1];
  return typeof found === "object" && found !== null && Object.hasOwn(found, option);
}

/** The catalogue key of a field: its path inside the stage, "peft.r" -> "peft_r". */
export const fieldKey = (field: string): string => field.replaceAll(".", "_");

/** What a stage that is being typed makes. */
export function draftOutput(stage: Draft | undefined): ReturnType<typeof outputOf> | null {
  const kind = kindOf(stage);
  if (kind === null || !isObject(stage)) return null;
  const whole = defaultStage(kind, []);
  return outputOf(whole.stage === "sft" ? { ...whole, peft: stage.peft === null ? null : DEFAULT_LORA } : whole);
}

export function kindOf(stage: Draft | undefined): StageKind | null {
  return isObject(stage) ? (STAGE_KINDS.find((kind) => kind === stage.stage) ?? null) : null;
}

export function idOf(stage: Draft | undefined): string {
  return isObject(stage) && typeof stage.id === "string" ? stage.id : "";
}

/** The stages of a draft as the graph needs them: with their slots, whatever else is half-typed. */
export function slotStages(stages: readonly Draft[]): StageConfig[] {
  return stages.flatMap((stage) => {
    const kind = kindOf(stage);
    if (kind === null || !isObject(stage)) return [];
    const named = ["id", "model", "models", "adapter", "reward_model", "reward_models"];
    const slots = Object.fromEntries(Object.entries(stage).filter(([name]) => named.includes(name)));
    const parsed = stageConfig.safeParse({ ...defaultStage(kind, []), ...slots });
    return parsed.success ? [parsed.data] : [];
  });
}
