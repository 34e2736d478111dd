/** `nagi generate MODEL_DIR --prompt TEXT`: continues texts and prints one JSON object a line. */
import process from "node:process";
import { parseArgs } from "node:util";
import { NagiError } from "../../src/shared/errors";
import type { GeneratedText } from "../../src/shared/protocol/backend";
import { type GenerationConfig, generationConfig } from "../../src/shared/protocol/stages";
import { openDawn } from "../engine/gpu/dawn";
import type { Gpu } from "../engine/gpu/gpu";
import { writeTexts } from "../engine/train/write-texts";
import { modelSource } from "./sources";

export interface GenerateInput {
  /** A folder or `bundled:NAME`. */
  readonly model: string;
  /** Folder of a PEFT adapter. */
  readonly adapter: string | null;
  readonly prompts: readonly string[];
  readonly generation: GenerationConfig;
  readonly seed: number;
}

const DEFAULTS = { "max-new-tokens": "40", temperature: "1", "top-k": "0", "top-p": "1", seed: "0" };

function wrong(path: string, problem: string, allowed: string): NagiError {
  return new NagiError("config.invalid", `--${path} ${problem}: give ${allowed}`, { file: "", path, problem, allowed });
}

/**
 * Reads the command's arguments.
 * @throws NagiError config.invalid {path, problem, allowed}; TypeError ERR_PARSE_ARGS_* for unknown options.
 */
export function parseGenerate(args: readonly string[]): GenerateInput {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      adapter: { type: "string" },
      prompt: { type: "string", multiple: true },
      "max-new-tokens": { type: "string", default: DEFAULTS["max-new-tokens"] },
      temperature: { type: "string", default: DEFAULTS.temperature },
      "top-k": { type: "string", default: DEFAULTS["top-k"] },
      "top-p": { type: "string", default: DEFAULTS["top-p"] },
      seed: { type: "string", default: DEFAULTS.seed },
    },
  });
  const [model, ...more] = positionals;
  if (model === undefined) throw wrong("MODEL_DIR", "is missing", "the folder of a model, or bundled:nagi-base");
  const prompts = [...(values.prompt ?? []), ...more];
  if (values.prompt === undefined) throw wrong("prompt", "is missing", "one or several texts");
  const numbers = {
    max_new_tokens: Number(values["max-new-tokens"]),
    temperature: Number(values.temperature),
    top_k: Number(values["top-k"]),
    top_p: Number(values["top-p"]),
  };
  const generation = generationConfig.safeParse(numbers);
  if (!generation.success) {
    const issue = generation.error.issues[0];
    throw wrong(String(issue?.path[0] ?? "").replaceAll("_", "-"), "is wrong", issue?.message ?? "a number");
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw wrong("seed", `is ${values.seed}`, "an integer from 0 on");
  return { model, adapter: values.adapter ?? null, prompts, generation: generation.data, seed };
}

/**
 * Continues the prompts, in their order. Texts end with the tokenizer's EOS, after max_new_tokens, or where the model's
 * max_position_embeddings are used up. Rejects with model.*, config.invalid, data.empty, gpu.*.
 */
export async function generate(gpu: Gpu, input: GenerateInput): Promise<GeneratedText[]> {
  const source = modelSource(input.model);
  const adapter = input.adapter === null ? null : modelSource(input.adapter);
  return writeTexts(gpu, { model: source, adapter }, input.prompts, { ...input.generation, seed: input.seed });
}

/** The command. Returns 0; what is wrong is thrown. */
export async function generateCommand(args: readonly string[]): Promise<number> {
  const input = parseGenerate(args);
  const gpu = await openDawn();
  try {
    for (const line of await generate(gpu, input)) process.stdout.write(`${JSON.stringify(line)}\n`);
    return 0;
  } finally {
    gpu.destroy();
  }
}
