/**
 * LoRA adapters in PEFT's format: adapter_config.json and adapter_model.safetensors. Plain LoRA only: what would change
 * the numbers and is not understood is refused by name, never ignored.
 */
import { NagiError } from "../../../src/shared/errors";
import { type LoraOptions, loraLinears, loraName, OUTPUT_MODULE } from "../model/lora";
import { badConfig, type NeoxConfig } from "../model/neox-config";
import { EMBEDDING, type HeadSpec, neoxParameterShapes, SCORE } from "../model/shapes";
import { type PeftConfig, parsePeftConfig, targetOf } from "./peft-config";
import { type TensorToWrite, writeSafetensors } from "./safetensors";
import { type FileSource, fileMissing, readJson } from "./source";
import { wholeTensor } from "./tensors";
import { openWeights, type StoredTensor } from "./weights";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const PREFIX = "base_model.model.";

export interface LoadedAdapter {
  /** `target_modules` are whole names of linears. */
  readonly lora: LoraOptions;
  readonly config: PeftConfig;
  /**
   * By the engine's name: the adapters' matrices, the score head where the adapter holds one, and base weights that peft
   * stored beside them (they replace the base's).
   */
  readonly tensors: Map<string, Float32Array>;
}

/**
 * The engine's name of a parameter as peft calls it, on disk or in memory: transformers 5 calls the output matrix
 * `lm_head`, peft wraps what it trains whole in `modules_to_save`, and names adapters in memory (`default`).
 */
export function engineParameter(name: string): string {
  const plain = (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name)
    .replace(/\.lora_([AB])\.default\./, ".lora_$1.")
    .replace(/\.modules_to_save(\.default)?\./, ".")
    .replace(/\.(base_layer|original_module)\./, ".")
    .replace(/^lm_head\./, `${OUTPUT_MODULE}.`);
  return /\.lora_[AB]\./.test(plain) ? `${PREFIX}${plain}` : plain;
}

/** Whether a folder holds an adapter rather than a model. */
export async function isAdapterFolder(source: FileSource): Promise<boolean> {
  return (await source.list()).includes(CONFIG);
}

/**
 * Loads an adapter for a model. Rejects with model.file_missing, model.bad_config {file, field, problem} (what is not
 * plain LoRA names its field), model.tensor_missing, model.tensor_shape, and as reading of weights does.
 */
export async function loadAdapter(source: FileSource, model: NeoxConfig, head: HeadSpec): Promise<LoadedAdapter> {
  const found = await source.list();
  if (!found.includes(CONFIG)) throw fileMissing(CONFIG, source.name, found);
  const config = parsePeftConfig(await readJson(source, CONFIG, "model.bad_config"), CONFIG);
  const file = [WEIGHTS, "adapter_model.bin"].find((path) => found.includes(path));
  if (!file) throw fileMissing(WEIGHTS, source.name, found);
  const stored = await openWeights(source, file, file === WEIGHTS ? "safetensors" : "pytorch");
  const linears = loraLinears(model, head);
  const shapes = baseShapes(model, head);
  const tensors = new Map<string, Float32Array>();
  const modules = new Set<string>();
  for (const [onDisk, tensor] of stored) {
    let name = engineParameter(onDisk);
    const match = /^base_model\.model\.(.*)\.lora_[AB]\.weight$/.exec(name);
    const module = match?.[1];
    if (module !== undefined) {
      const linear = linears.get(module);
      if (!linear) throw badConfig(file, onDisk, "belongs to no linear of this model");
      if (!targetOf(config, module))
        throw badConfig(CONFIG, "target_modules", `does not name ${module}, but ${file} adapts it`);
      modules.add(module);
      const shape = name === loraName(module, "A") ? [config.r, linear[1]] : [linear[0], config.r];
      checkShape(tensor, shape);
    } else {
      // Tied embeddings have one matrix.
      if (model.tie_word_embeddings && name === `${OUTPUT_MODULE}.weight`) name = EMBEDDING;
      const shape = shapes.get(name);
      if (!shape) throw badConfig(file, onDisk, "is no part of a plain LoRA adapter of this model");
      checkShape(tensor, shape);
    }
    tensors.set(name, await wholeTensor(tensor));
  }
  for (const module of linears.keys()) {
    const target = targetOf(config, module);
    // On transformers 5 a target "embed_out" names nothing, and peft is content if other targets do.
    if (!target || (!modules.has(module) && target === OUTPUT_MODULE)) continue;
    for (const matrix of ["A", "B"] as const)
      if (!tensors.has(loraName(module, matrix))) throw missing(file, loraName(module, matrix));
  }
  if (modules.size === 0) throw badConfig(CONFIG, "target_modules", "names no linear of this model");
  const { r, lora_alpha, lora_dropout, use_rslora } = config;
  const target_modules = [...linears.keys()].filter((module) => modules.has(module));
  return {
    lora: { r, lora_alpha, lora_dropout, target_modules, ...(use_rslora ? { use_rslora } : {}) },
    config,
    tensors,
  };
}

/** Shapes of what peft may store beside the adapters: the score head, and embeddings. */
function baseShapes(model: NeoxConfig, head: HeadSpec): Map<string, readonly number[]> {
  const shapes = neoxParameterShapes(model, head);
  return new Map([...shapes].filter(([name]) => name === SCORE || /(^|\.)embed_(in|out)\.weight$/.test(name)));
}

function missing(file: string, tensor: string): NagiError {
  return new NagiError(
    "model.tensor_missing",
    `${file} has no tensor ${tensor}, although ${CONFIG} names its module. Take both files of the same adapter.`,
    { file, tensor },
  );
}

function checkShape(tensor: StoredTensor, shape: readonly number[]): void {
  if (tensor.shape.join() === shape.join()) return;
  const found = `[${tensor.shape.join(", ")}]`;
  const expected = `[${shape.join(", ")}]`;
  throw new NagiError(
    "model.tensor_shape",
    `${tensor.file}: tensor ${tensor.name} has the shape ${found}, but ${CONFIG} and this model ask for ${expected}. Take an adapter of this model, of one rank.`,
    { file: tensor.file, tensor: tensor.name, found, expected },
  );
}

export interface AdapterToSave {
  readonly lora: LoraOptions;
  readonly head: HeadSpec;
  /** By the engine's name: every adapter's matrices (and, for reward models, `score.weight`); others are left out. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly model: NeoxConfig;
  /** What PEFT shows as the base: a name or a path; it is loaded from only where the caller names no other. */
  readonly base_model_name_or_path: string | null;
}

/** The files of an adapter folder that PeftModel.from_pretrained loads: float32, named as peft 0.21 does. */
export function saveAdapter({
  lora,
  head,
  tensors,
  model,
  base_model_name_or_path,
}: AdapterToSave): Map<string, Uint8Array<ArrayBuffer>> {
  const written: TensorToWrite[] = [];
  const add = (name: string, onDisk: string, shape: readonly number[]) => {
    const data = tensors.get(name);
    if (!data) throw missing("the adapter", name);
    written.push({ name: onDisk, shape, data });
  };
  for (const [module, [outputs, inputs]] of loraLinears(model, head)) {
    if (!targetOf(lora, module)) continue;
    const onDisk = module === OUTPUT_MODULE ? "lm_head" : module;
    add(loraName(module, "A"), loraName(onDisk, "A"), [lora.r, inputs]);
    add(loraName(module, "B"), loraName(onDisk, "B"), [outputs, lora.r]);
  }
  const reward = head.kind === "reward";
  if (reward) add(SCORE, `${PREFIX}${SCORE}`, [head.num_labels, model.hidden_size]);
  written.sort((a, b) => (a.name < b.name ? -1 : 1));
  const config = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: lora.lora_alpha,
    lora_dropout: lora.lora_dropout,
    modules_to_save: reward ? ["classifier", "score"] : null,
    peft_type: "LORA",
    r: lora.r,
    rank_pattern: {},
    revision: null,
    // transformers 5 calls the output matrix so.
    target_modules: lora.target_modules.map((target) => (target === OUTPUT_MODULE ? "lm_head" : target)).sort(),
    task_type: reward ? "SEQ_CLS" : "CAUSAL_LM",
    use_dora: false,
    use_rslora: lora.use_rslora ?? false,
  };
  return new Map([
    [CONFIG, new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)],
    [WEIGHTS, writeSafetensors(written, { format: "pt" })],
  ]);
}
