/** config.json of a GPT-NeoX checkpoint: what of it decides the numbers, with transformers' names and defaults. */

import { NagiError } from "../../../src/shared/errors";

/** Activations by transformers' names, as the op that computes them. */
const ACTIVATIONS = {
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  relu: "relu",
} as const;

export interface NeoxConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: keyof typeof ACTIVATIONS;
  readonly activation: (typeof ACTIVATIONS)[keyof typeof ACTIVATIONS];
  readonly layer_norm_eps: number;
  readonly max_position_embeddings: number;
  readonly use_parallel_residual: boolean;
  readonly attention_bias: boolean;
  readonly tie_word_embeddings: boolean;
  readonly initializer_range: number;
  /** hidden_size / num_attention_heads. */
  readonly head_dim: number;
  readonly rope_theta: number;
  /** int(head_dim * partial_rotary_factor): dims of a head that rotate, and the denominator of the frequencies' exponents. */
  readonly rotary_exponent_dim: number;
  readonly pad_token_id: number | null;
  readonly eos_token_id: number | null;
  /** Labels of a classification checkpoint, if config.json says. */
  readonly num_labels: number | null;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** model.bad_config: details { file, field, problem }. */
export function badConfig(file: string, field: string, problem: string): NagiError {
  return new NagiError("model.bad_config", `${file}: "${field}" ${problem}`, { file, field, problem });
}

/** Reads fields and complains with the file and the field. */
class Fields {
  constructor(
    private readonly json: Json,
    readonly file: string,
  ) {}

  /** The value, or undefined where it is absent or null. */
  raw(field: string): unknown {
    return this.json[field] ?? undefined;
  }

  number(field: string, fallback?: number): number {
    const value = this.raw(field) ?? fallback;
    if (value === undefined) throw badConfig(this.file, field, "is missing");
    if (typeof value !== "number" || !Number.isFinite(value)) throw badConfig(this.file, field, "is not a number");
    return value;
  }

  size(field: string, fallback?: number): number {
    const value = this.number(field, fallback);
    if (!Number.isInteger(value) || value < 1) throw badConfig(this.file, field, `is ${value}, not a positive integer`);
    return value;
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.raw(field) ?? fallback;
    if (typeof value !== "boolean") throw badConfig(this.file, field, "is neither true nor false");
    return value;
  }

  /** A token id; of a list (several end tokens) the first. */
  token(field: string): number | null {
    const value = this.raw(field);
    const id = Array.isArray(value) ? value[0] : value;
    if (id === undefined) return null;
    if (typeof id !== "number" || !Number.isInteger(id)) throw badConfig(this.file, field, "is not a token id");
    return id;
  }
}

/**
 * Reads config.json.
 * @param json the parsed file.
 * @param file its name, for messages.
 * @throws NagiError model.bad_config { file, field, problem }; model.unknown_architecture { file, architecture }.
 */
export function parseNeoxConfig(json: unknown, file = "config.json"): NeoxConfig {
  if (!isObject(json)) throw badConfig(file, "(top level)", "is not a JSON object");
  refuseOtherArchitectures(json, file);
  const fields = new Fields(json, file);
  const hidden_size = fields.size("hidden_size");
  const num_attention_heads = fields.size("num_attention_heads");
  const head_dim = hidden_size / num_attention_heads;
  if (!Number.isInteger(head_dim))
    throw badConfig(
      file,
      "num_attention_heads",
      `is ${num_attention_heads}, which does not divide hidden_size ${hidden_size}`,
    );
  // The limit of the attention kernel's registers.
  if (head_dim > 128)
    throw badConfig(file, "num_attention_heads", `makes heads of ${head_dim}, at most 128 are supported`);
  const hidden_act = fields.raw("hidden_act") ?? "gelu";
  if (!isActivation(hidden_act))
    throw badConfig(
      file,
      "hidden_act",
      `is ${JSON.stringify(hidden_act)}; supported are ${Object.keys(ACTIVATIONS).join(", ")}`,
    );
  const layer_norm_eps = fields.number("layer_norm_eps", 1e-5);
  if (!(layer_norm_eps > 0)) throw badConfig(file, "layer_norm_eps", `is ${layer_norm_eps}, not above 0`);
  return {
    vocab_size: fields.size("vocab_size"),
    hidden_size,
    num_hidden_layers: fields.size("num_hidden_layers"),
    num_attention_heads,
    intermediate_size: fields.size("intermediate_size"),
    hidden_act,
    activation: ACTIVATIONS[hidden_act],
    layer_norm_eps,
    max_position_embeddings: fields.size("max_position_embeddings", 2048),
    use_parallel_residual: fields.flag("use_parallel_residual", true),
    attention_bias: fields.flag("attention_bias", true),
    tie_word_embeddings: fields.flag("tie_word_embeddings", false),
    initializer_range: fields.number("initializer_range", 0.02),
    head_dim,
    ...rotary(fields, head_dim),
    pad_token_id: fields.token("pad_token_id"),
    eos_token_id: fields.token("eos_token_id"),
    num_labels: numLabels(fields),
  };
}

function isActivation(name: unknown): name is keyof typeof ACTIVATIONS {
  return typeof name === "string" && Object.hasOwn(ACTIVATIONS, name);
}

function refuseOtherArchitectures(json: Json, file: string): void {
  const architectures: unknown[] = Array.isArray(json.architectures) ? json.architectures : [];
  const found = json.model_type ?? architectures[0] ?? "nothing";
  const known = json.model_type === undefined ? String(found).startsWith("GPTNeoX") : json.model_type === "gpt_neox";
  // GPTNeoXJapanese has another model_type and other wiring.
  if (known && !String(architectures[0] ?? "").startsWith("GPTNeoXJapanese")) return;
  throw new NagiError(
    "model.unknown_architecture",
    `${file}: the architecture is ${JSON.stringify(found)}; Nagi trains GPT-NeoX (model_type "gpt_neox"), such as OpenCALM`,
    { file, architecture: String(found) },
  );
}

/** rope_parameters (transformers 5) or rotary_pct, rotary_emb_base, rope_theta (before); factors other than plain rotation are refused. */
function rotary(fields: Fields, head_dim: number): Pick<NeoxConfig, "rope_theta" | "rotary_exponent_dim"> {
  // transformers: rope_scaling, where it is set, takes the place of rope_parameters.
  const name = fields.raw("rope_scaling") !== undefined ? "rope_scaling" : "rope_parameters";
  const given = fields.raw(name) ?? {};
  if (!isObject(given)) throw badConfig(fields.file, name, "is not an object");
  const type = given.rope_type ?? given.type ?? "default";
  if (type !== "default")
    throw badConfig(
      fields.file,
      name,
      `asks for rotary scaling of type ${JSON.stringify(type)}; only "default" is supported`,
    );
  const inner = new Fields(given, `${fields.file}: ${name}`);
  const rope_theta = inner.number("rope_theta", fields.number("rotary_emb_base", fields.number("rope_theta", 10_000)));
  const factor = inner.number("partial_rotary_factor", fields.number("rotary_pct", 0.25));
  if (!(rope_theta > 0)) throw badConfig(fields.file, "rope_theta", `is ${rope_theta}, not above 0`);
  if (!(factor >= 0 && factor <= 1))
    throw badConfig(fields.file, "rotary_pct", `(partial_rotary_factor) is ${factor}, not between 0 and 1`);
  const rotary_exponent_dim = Math.trunc(head_dim * factor);
  // transformers rotates that many dims, made even upwards.
  if (2 * Math.ceil(rotary_exponent_dim / 2) > head_dim)
    throw badConfig(fields.file, "rotary_pct", `rotates all ${head_dim} dims of a head, which must be even for that`);
  return { rope_theta, rotary_exponent_dim };
}

function numLabels(fields: Fields): number | null {
  const labels = fields.raw("id2label");
  if (fields.raw("num_labels") !== undefined) return fields.size("num_labels");
  return isObject(labels) ? Object.keys(labels).length : null;
}
