/**
 * case.json of `nagi verify` (docs/verify.md): liberal in the names of optimizer fields, strict in what they mean. What
 * would change the numbers and is not understood is an error, never ignored.
 */
import { z } from "zod";
import { NagiError } from "../../src/shared/errors";
import type { LrSchedulerType, RewardObjective } from "../../src/shared/protocol/config";
import type { ScheduleOptions } from "../engine/optim/schedule";

/** A padded batch: rows of tokens, true where a token is real. */
export interface CaseBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly boolean[])[];
  /** causal-lm: [B][T], unshifted, -100 ignored. */
  readonly token_labels: readonly (readonly number[])[] | null;
  /** Reward: [B]. */
  readonly labels: readonly number[] | null;
}

export interface CaseOptimizer {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly schedule: ScheduleOptions;
}

export interface VerifyCase {
  readonly task: "causal-lm" | "reward";
  readonly train: "full" | "lora";
  readonly objective: RewardObjective | null;
  /** The case's own batch; null where it only has `batches`. */
  readonly batch: CaseBatch | null;
  readonly trajectory: {
    readonly batches: readonly CaseBatch[];
    readonly steps: number;
    readonly optimizer: CaseOptimizer;
  } | null;
  /** Fields that were not looked at. */
  readonly ignored: readonly string[];
}

/** case.invalid: details { file, field, problem }. */
export function invalid(file: string, field: string, problem: string): NagiError {
  return new NagiError("case.invalid", `${file}: ${field} ${problem}`, { file, field, problem });
}

const rows = <T extends z.ZodType>(item: T) => z.array(z.array(item).min(1)).min(1);
const flag = z.union([z.boolean(), z.literal(0), z.literal(1)]).transform((value) => value === true || value === 1);
const label = z.union([z.boolean().transform(Number), z.int()]);

const rawBatch = z.object({
  input_ids: rows(z.int().min(0)),
  attention_mask: rows(flag).optional(),
  labels: z.union([rows(z.int()), z.array(label)]).nullish(),
});
type RawBatch = z.infer<typeof rawBatch>;

const rawCase = z.looseObject({
  task: z.enum(["causal-lm", "reward"]),
  train: z.enum(["full", "lora"]).default("full"),
  objective: z.enum(["binary", "cross-entropy", "pairwise"]).nullish(),
  input_ids: z.unknown().optional(),
  attention_mask: z.unknown().optional(),
  labels: z.unknown().optional(),
  batches: z.array(rawBatch).min(1).nullish(),
  optimizer: z.record(z.string(), z.unknown()).nullish(),
  steps: z.int().min(1).nullish(),
});

const KNOWN = new Set(Object.keys(rawCase.shape));

/** Parses with a schema; the first problem becomes a case.invalid error that names the field. */
function check<T extends z.ZodType>(schema: T, value: unknown, file: string, at = ""): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [at, ...(issue?.path ?? [])].filter((part) => part !== "").join(".");
  throw invalid(file, path === "" ? "the file" : path, `is not valid: ${issue?.message ?? "unknown problem"}`);
}

/** Parses case.json. Throws case.invalid {file, field, problem}. */
export function parseCase(text: string, file: string): VerifyCase {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(file, "the file", `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const raw = check(rawCase, json, file);
  const { task, train } = raw;
  if (task === "reward" && !raw.objective)
    throw invalid(file, "objective", "is missing: binary, cross-entropy or pairwise");
  const objective = task === "reward" ? (raw.objective ?? null) : null;
  const own = raw.input_ids === undefined ? null : check(rawBatch, pickBatch(raw), file);
  const batch = own && toBatch(own, task, objective, file, "");
  const batches = raw.batches?.map((one, index) => toBatch(one, task, objective, file, `batches.${index}.`));
  if (!batch && !batches) throw invalid(file, "input_ids", "is missing");
  const ignored = Object.keys(raw).filter((name) => !KNOWN.has(name));
  if (!raw.optimizer) {
    if (raw.steps) throw invalid(file, "optimizer", "is missing, but there are steps");
    return { task, train, objective, batch, trajectory: null, ignored };
  }
  const list = batches ?? (batch ? [batch] : []);
  const steps = raw.steps ?? list.length;
  const optimizer = parseOptimizer(raw.optimizer, steps, file);
  return { task, train, objective, batch, trajectory: { batches: list, steps, optimizer }, ignored };
}

function pickBatch(raw: z.infer<typeof rawCase>): Record<string, unknown> {
  const { input_ids, attention_mask, labels } = raw;
  return { input_ids, labels, ...(attention_mask === undefined ? {} : { attention_mask }) };
}

function toBatch(
  raw: RawBatch,
  task: VerifyCase["task"],
  objective: RewardObjective | null,
  file: string,
  at: string,
): CaseBatch {
  const { input_ids } = raw;
  const attention_mask = raw.attention_mask ?? input_ids.map((row) => row.map(() => true));
  sameShape(
    input_ids,
    input_ids.map(() => ({ length: input_ids[0]?.length ?? 0 })),
    file,
    `${at}input_ids`,
  );
  sameShape(attention_mask, input_ids, file, `${at}attention_mask`);
  const nested: number[][] = [];
  const flat: number[] = [];
  for (const item of raw.labels ?? []) {
    if (Array.isArray(item)) nested.push(item);
    else flat.push(item);
  }
  if (task === "causal-lm") {
    if (raw.labels && flat.length > 0) throw invalid(file, `${at}labels`, "is not [B][T] token labels");
    if (raw.labels) sameShape(nested, input_ids, file, `${at}labels`);
    return { input_ids, attention_mask, token_labels: raw.labels ? nested : null, labels: null };
  }
  if (objective === "pairwise") {
    if (input_ids.length % 2 !== 0)
      throw invalid(file, `${at}input_ids`, `has ${input_ids.length} rows, but pairs need an even number`);
    return { input_ids, attention_mask, token_labels: null, labels: null };
  }
  // [B][1] is [B].
  const labels =
    nested.length > 0 && nested.every((row) => row.length === 1) ? nested.map(([first = -1]) => first) : flat;
  if (raw.labels && (labels.length !== input_ids.length || labels.some((one) => one !== 0 && one !== 1)))
    throw invalid(file, `${at}labels`, `is not one 0 or 1 for each of the ${input_ids.length} rows`);
  return { input_ids, attention_mask, token_labels: null, labels: raw.labels ? labels : null };
}

function sameShape(
  value: readonly { readonly length: number }[],
  wanted: readonly { readonly length: number }[],
  file: string,
  field: string,
): void {
  if (value.length === wanted.length && value.every((row, index) => row.length === wanted[index]?.length)) return;
  throw invalid(file, field, `must be ${wanted.length} rows of ${wanted[0]?.length ?? 0}`);
}

/** Takes fields by any of their names; what is left over at the end was not understood. */
class Taker {
  readonly #left: Map<string, unknown>;

  constructor(
    fields: Readonly<Record<string, unknown>>,
    private readonly file: string,
    private readonly at: string,
  ) {
    this.#left = new Map(Object.entries(fields));
  }

  take<T extends z.ZodType>(schema: T, ...names: readonly string[]): z.infer<T> {
    const given = names.filter((name) => this.#left.has(name));
    if (given.length > 1) throw invalid(this.file, this.at, `has both ${given.join(" and ")}`);
    const [name = names[0] ?? ""] = given;
    const value = this.#left.get(name);
    this.#left.delete(name);
    return check(schema, value, this.file, `${this.at}.${name}`);
  }

  finish(): void {
    const [first] = this.#left.keys();
    if (first !== undefined) throw invalid(this.file, `${this.at}.${first}`, "is not understood");
  }
}

const number = z.number();
const count = z.int().min(0).nullish();

function parseOptimizer(raw: Readonly<Record<string, unknown>>, steps: number, file: string): CaseOptimizer {
  const taker = new Taker(raw, file, "optimizer");
  const name = taker.take(z.string().default("adamw"), "name", "type");
  if (!/^(torch\.optim\.)?adamw(_torch)?$/i.test(name))
    throw invalid(file, "optimizer.name", `is ${JSON.stringify(name)}; only adamw is supported`);
  const learning_rate = taker.take(number.min(0), "lr", "learning_rate");
  const betas = taker.take(z.tuple([number, number]).optional(), "betas", "adam_betas");
  const [beta1, beta2] = betas ?? [
    taker.take(number.default(0.9), "beta1", "adam_beta1"),
    taker.take(number.default(0.999), "beta2", "adam_beta2"),
  ];
  const eps = taker.take(number.gt(0).default(1e-8), "eps", "epsilon", "adam_epsilon");
  const weight_decay = taker.take(number.min(0).default(0.01), "weight_decay");
  const max_grad_norm = taker.take(number.min(0).nullish(), "max_grad_norm", "clip_grad_norm", "max_norm") ?? 0;
  taker.take(z.literal(false).optional(), "amsgrad");
  taker.take(z.literal(false).optional(), "maximize");
  const given = taker.take(
    z.union([z.string(), z.record(z.string(), z.unknown())]).nullish(),
    "schedule",
    "scheduler",
    "lr_scheduler",
    "lr_scheduler_type",
  );
  const beside = takeWarmup(taker);
  taker.finish();
  const schedule = parseSchedule(given, beside, learning_rate, steps, file);
  return { betas: [beta1, beta2], eps, weight_decay, max_grad_norm, schedule };
}

interface Warmup {
  readonly steps: number | null | undefined;
  readonly ratio: number | null | undefined;
  readonly total: number | null | undefined;
}

function takeWarmup(taker: Taker): Warmup {
  return {
    steps: taker.take(count, "warmup_steps", "num_warmup_steps", "warmup"),
    ratio: taker.take(number.min(0).max(1).nullish(), "warmup_ratio"),
    total: taker.take(count, "total_steps", "num_training_steps", "training_steps", "max_steps", "total", "steps"),
  };
}

const SCHEDULES: Readonly<Record<string, LrSchedulerType>> = {
  constant: "constant",
  none: "constant",
  constant_with_warmup: "constant",
  linear: "linear",
  linear_with_warmup: "linear",
  cosine: "cosine",
  cosine_with_warmup: "cosine",
};

function parseSchedule(
  given: string | Readonly<Record<string, unknown>> | null | undefined,
  beside: Warmup,
  learning_rate: number,
  steps: number,
  file: string,
): ScheduleOptions {
  let name = typeof given === "string" ? given : "constant";
  let inside: Warmup = { steps: undefined, ratio: undefined, total: undefined };
  if (given && typeof given === "object") {
    const taker = new Taker(given, file, "optimizer.schedule");
    name = taker.take(z.string(), "name", "type", "kind", "lr_scheduler_type");
    inside = takeWarmup(taker);
    taker.take(z.literal(0.5).optional(), "num_cycles");
    taker.finish();
  }
  const type = SCHEDULES[name.toLowerCase().replaceAll("-", "_")];
  if (!type)
    throw invalid(file, "optimizer.schedule", `is ${JSON.stringify(name)}; supported are constant, linear and cosine`);
  const total_steps = inside.total ?? beside.total ?? steps;
  const ratio = inside.ratio ?? beside.ratio;
  const warmup_steps = inside.steps ?? beside.steps ?? (ratio ? Math.ceil(ratio * total_steps) : 0);
  return { type, learning_rate, warmup_steps, total_steps };
}
