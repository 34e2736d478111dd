/**
 * The form of a reward run: what the person has typed (strings, possibly half-written) and the config it stands for.
 * The only judge is the protocol's schema; the allowed ranges shown beside a field are read from it, too.
 */
import { z } from "zod";
import {
  type RewardStageConfig,
  type RunConfig,
  rewardStageConfig,
  rewardStageOf,
  runConfig,
} from "../../shared/protocol/config";
import { DEFAULT_REWARD_STAGE, DEFAULT_RUN } from "../../shared/protocol/defaults";
import { type Range, readNumber, writeNumber } from "../common/numbers";

/** Fields that are typed as numbers, in the order of the screen. */
export const BASIC_FIELDS = ["num_train_epochs", "per_device_train_batch_size", "learning_rate", "max_length"] as const;
export const ADVANCED_FIELDS = [
  "max_steps",
  "gradient_accumulation_steps",
  "warmup_ratio",
  "weight_decay",
  "max_grad_norm",
  "adam_beta1",
  "adam_beta2",
  "adam_epsilon",
  "eval_steps",
  "save_steps",
  "logging_steps",
] as const;
export type NumberField = (typeof BASIC_FIELDS)[number] | (typeof ADVANCED_FIELDS)[number];

export interface Draft {
  readonly name: string;
  readonly seed: string;
  readonly model: string;
  readonly init: RunConfig["model"]["init"];
  readonly train: string;
  readonly validation: string;
  /** Empty: no test split. */
  readonly test: string;
  readonly objective: RewardStageConfig["objective"];
  readonly lr_scheduler_type: RewardStageConfig["lr_scheduler_type"];
  readonly numbers: Readonly<Record<NumberField, string>>;
  /** The stage as it came: what has no field of its own above is kept, or changed in place. */
  readonly kept: RewardStageConfig;
}

/** Where a problem belongs: a number field, or one of the others. */
export type Field = NumberField | "name" | "seed" | "model" | "train" | "validation" | "test";

export type FieldProblem = "missing" | "not_a_number" | "not_an_integer" | "out_of_range" | "too_long" | "not_allowed";

export interface Checked {
  /** Null while a field is wrong. */
  readonly config: RunConfig | null;
  readonly problems: ReadonlyMap<Field, FieldProblem>;
}

const NUMBER_FIELDS: readonly NumberField[] = [...BASIC_FIELDS, ...ADVANCED_FIELDS];

export function configToDraft(config: RunConfig): Draft {
  const stage = rewardStageOf(config) ?? DEFAULT_REWARD_STAGE;
  const numbers = Object.fromEntries(NUMBER_FIELDS.map((field) => [field, writeNumber(stage[field])]));
  return {
    name: config.name,
    seed: String(config.seed),
    model: config.model.model_name_or_path,
    init: config.model.init,
    train: config.data.train,
    validation: config.data.validation,
    test: config.data.test ?? "",
    objective: stage.objective,
    lr_scheduler_type: stage.lr_scheduler_type,
    numbers: numbers as Record<NumberField, string>,
    kept: stage,
  };
}

export const DEFAULT_DRAFT: Draft = configToDraft(DEFAULT_RUN);

/** Checks the draft with the schema; every wrong field gets one problem. */
export function checkDraft(draft: Draft): Checked {
  const problems = new Map<Field, FieldProblem>();
  const number = (field: Field, text: string): number => {
    const value = readNumber(text);
    if (value === null) problems.set(field, text.trim() === "" ? "missing" : "not_a_number");
    return value ?? Number.NaN;
  };
  const numbers = Object.fromEntries(NUMBER_FIELDS.map((field) => [field, number(field, draft.numbers[field])]));
  const candidate = {
    name: draft.name.trim(),
    seed: number("seed", draft.seed),
    model: { model_name_or_path: draft.model, init: draft.init },
    data: { train: draft.train, validation: draft.validation, test: draft.test === "" ? null : draft.test },
    stages: [
      {
        ...draft.kept,
        objective: draft.objective,
        lr_scheduler_type: draft.lr_scheduler_type,
        ...numbers,
      },
    ],
  };
  const parsed = runConfig.safeParse(candidate);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const field = fieldOf(issue.path);
      if (field !== null && !problems.has(field)) problems.set(field, problemOf(issue));
    }
  }
  return { config: parsed.success && problems.size === 0 ? parsed.data : null, problems };
}

/** Allowed values of a field, as the schema declares them. */
export function rangeOf(field: NumberField | "seed"): Range {
  return field === "seed" ? SEED_RANGE : (RANGES.get(field) ?? UNBOUNDED);
}

/**
 * Optimizer steps the run will take. `trainUnits` is the number of texts (pairwise: pairs) of one epoch. An estimate:
 * the run itself counts again after it has read and cleaned the data.
 */
export function estimateSteps(config: RunConfig, trainUnits: number): number | null {
  const stage = rewardStageOf(config);
  if (stage === null || trainUnits <= 0) return null;
  if (stage.max_steps > 0) return stage.max_steps;
  const perEpoch = Math.max(
    1,
    Math.ceil(trainUnits / (stage.per_device_train_batch_size * stage.gradient_accumulation_steps)),
  );
  return Math.ceil(perEpoch * stage.num_train_epochs);
}

/**
 * Texts (pairwise: pairs of a positive and a negative text) that one epoch goes through. Pairs see every text of the more
 * frequent label once; those of the other label come again.
 */
export function trainUnits(
  objective: Draft["objective"],
  rows: { readonly rows: number; readonly positive: number; readonly negative: number },
): number {
  return objective === "pairwise" ? Math.max(rows.positive, rows.negative) : rows.rows;
}

const boundsSchema = z.looseObject({
  type: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  exclusiveMaximum: z.number().optional(),
});
const UNBOUNDED: Range = {
  integer: false,
  minimum: null,
  maximum: null,
  exclusiveMinimum: false,
  exclusiveMaximum: false,
};

function readRange(schema: z.ZodType): Range {
  const bounds = boundsSchema.parse(z.toJSONSchema(schema));
  const maximum = bounds.maximum ?? bounds.exclusiveMaximum ?? null;
  return {
    integer: bounds.type === "integer",
    minimum: bounds.minimum ?? bounds.exclusiveMinimum ?? null,
    // zod bounds integers by what a double can hold; that is no limit worth showing.
    maximum: maximum === Number.MAX_SAFE_INTEGER ? null : maximum,
    exclusiveMinimum: bounds.minimum === undefined && bounds.exclusiveMinimum !== undefined,
    exclusiveMaximum: bounds.maximum === undefined && bounds.exclusiveMaximum !== undefined,
  };
}

const RANGES = new Map(NUMBER_FIELDS.map((field) => [field, readRange(rewardStageConfig.shape[field])]));
const SEED_RANGE = readRange(runConfig.shape.seed);

function fieldOf(path: readonly PropertyKey[]): Field | null {
  const last = path.at(-1);
  if (last === "model_name_or_path" || last === "model") return "model";
  if (last === "name" || last === "seed" || last === "train" || last === "validation" || last === "test") return last;
  return NUMBER_FIELDS.find((field) => field === last) ?? null;
}

function problemOf(issue: z.core.$ZodIssue): FieldProblem {
  switch (issue.code) {
    case "too_small":
      return issue.origin === "string" ? "missing" : "out_of_range";
    case "too_big":
      return issue.origin === "string" ? "too_long" : "out_of_range";
    case "invalid_type":
      return issue.expected === "int" ? "not_an_integer" : "not_a_number";
    default:
      return "not_allowed";
  }
}
