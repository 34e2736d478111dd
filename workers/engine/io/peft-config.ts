/** adapter_config.json: which LoRA it describes, or which of its fields goes beyond plain LoRA. */
import { isTarget, OUTPUT_MODULE } from "../model/lora";
import { badConfig } from "../model/neox-config";

export interface PeftConfig {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  /** Names of linears or their last parts, a regular expression over whole names, or "all-linear". */
  readonly target_modules: readonly string[] | RegExp | "all-linear";
  /** Modules that are trained and stored whole. */
  readonly modules_to_save: readonly string[];
  readonly task_type: "CAUSAL_LM" | "SEQ_CLS" | null;
}

/** Fields that say nothing about the numbers, whatever they hold. */
const INFORMATION = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "ensure_weight_tying",
  "inference_mode",
  "layers_pattern",
  "loftq_config",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
]);

const READ = new Set([
  "bias",
  "fan_in_fan_out",
  "init_lora_weights",
  "lora_alpha",
  "lora_dropout",
  "modules_to_save",
  "peft_type",
  "r",
  "target_modules",
  "task_type",
  "use_rslora",
]);

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a switch that is off looks like. */
const isOff = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.keys(value).length === 0);

/**
 * Reads adapter_config.json.
 * @throws NagiError model.bad_config {file, field, problem} naming the field that is wrong, or that asks for more than
 * plain LoRA.
 */
export function parsePeftConfig(json: unknown, file: string): PeftConfig {
  if (!isObject(json)) throw badConfig(file, "(top level)", "is not a JSON object");
  const show = (value: unknown) => JSON.stringify(value);
  const must = (field: string, allowed: readonly unknown[], hint: string) => {
    const value = json[field] ?? null;
    if (!allowed.includes(value)) throw badConfig(file, field, `is ${show(value)}; ${hint}`);
  };
  must("peft_type", ["LORA"], "only LORA is supported");
  must("task_type", [null, "CAUSAL_LM", "SEQ_CLS"], "only CAUSAL_LM and SEQ_CLS are supported");
  must("bias", [null, "none"], 'only adapters with bias "none" are supported');
  must("fan_in_fan_out", [null, false], "GPT-NeoX has no such linears");
  // Other ways to begin (pissa, olora, corda, eva, loftq) change the base weights as well.
  must(
    "init_lora_weights",
    [null, true, false, "gaussian", "orthogonal"],
    "such an adapter changes its base too: convert it to plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)",
  );
  for (const [field, value] of Object.entries(json))
    if (!INFORMATION.has(field) && !READ.has(field) && !isOff(value))
      throw badConfig(file, field, `is ${show(value)}; only plain LoRA is supported`);
  const number = (field: string, fits: (value: number) => boolean, what: string): number => {
    const value = json[field];
    if (typeof value !== "number" || !fits(value)) throw badConfig(file, field, `is ${show(value)}, not ${what}`);
    return value;
  };
  return {
    r: number("r", (value) => Number.isInteger(value) && value >= 1, "a rank of 1 or more"),
    lora_alpha: number("lora_alpha", Number.isFinite, "a number"),
    lora_dropout: isOff(json.lora_dropout) ? 0 : number("lora_dropout", (p) => p >= 0 && p < 1, "a share below 1"),
    use_rslora: json.use_rslora === true,
    target_modules: parseTargets(json.target_modules, file),
    modules_to_save: parseSaved(json.modules_to_save, file),
    task_type: json.task_type === "CAUSAL_LM" || json.task_type === "SEQ_CLS" ? json.task_type : null,
  };
}

const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

function parseTargets(value: unknown, file: string): PeftConfig["target_modules"] {
  // peft's default for GPT-NeoX.
  if (value === null || value === undefined) return ["query_key_value"];
  if (value === "all-linear") return value;
  if (typeof value === "string") {
    try {
      return new RegExp(`^(?:${value})$`);
    } catch {
      throw badConfig(file, "target_modules", `is ${JSON.stringify(value)}, which is no regular expression`);
    }
  }
  if (!isStrings(value) || value.length === 0)
    throw badConfig(file, "target_modules", "is neither a list of names nor a regular expression");
  return value;
}

function parseSaved(value: unknown, file: string): string[] {
  if (isOff(value)) return [];
  if (!isStrings(value)) throw badConfig(file, "modules_to_save", "is not a list of names");
  const strange = value.find((name) => name !== "score" && name !== "classifier");
  if (strange !== undefined)
    throw badConfig(
      file,
      "modules_to_save",
      `holds ${JSON.stringify(strange)}; only a score head may be trained whole`,
    );
  return value;
}

/** The output matrix has two names: today's transformers and the files on disk disagree. */
const namesOf = (module: string) => (module === OUTPUT_MODULE ? ["lm_head", OUTPUT_MODULE] : [module]);

/** By which of its names a linear is a target; undefined where it is none. */
export function targetOf(
  { target_modules }: { readonly target_modules: PeftConfig["target_modules"] },
  module: string,
): string | undefined {
  if (target_modules === "all-linear") return module === OUTPUT_MODULE ? undefined : module;
  const names = namesOf(module);
  if (target_modules instanceof RegExp) return names.find((name) => target_modules.test(name));
  return names.find((name) => target_modules.some((target) => isTarget(name, target)));
}
