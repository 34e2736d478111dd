/** What would fit where a stage does not: each change is computed by asking the preflight again with it. */
import { stageConfig } from "../../../src/shared/protocol/config";
import { DEFAULT_LORA } from "../../../src/shared/protocol/defaults";
import type { OfferCode, PreflightOffer, StagePreflight } from "../../../src/shared/protocol/preflight";
import { type MachineFacts, type PreflightInput, preflightStage } from "./preflight";

type Changes = PreflightOffer["changes"];

interface Candidate {
  readonly code: OfferCode;
  /** Smaller and smaller; the first that fits is offered. */
  readonly steps: readonly Changes[];
}

const SHORTEST = 16;

/** The preflight of a stage with its offers. @throws config.invalid */
export async function preflightWithOffers(input: PreflightInput, machine: MachineFacts): Promise<StagePreflight> {
  const result = await preflightStage(input, machine);
  return { ...result, offers: result.problems.length === 0 ? [] : await offersFor(input, machine) };
}

/** Changes of one kind that are enough; where none is, several together. */
export async function offersFor(input: PreflightInput, machine: MachineFacts): Promise<PreflightOffer[]> {
  const singles = singleChanges(input);
  const offers: PreflightOffer[] = [];
  for (const candidate of singles) offers.push(...(await fitting(candidate, input, machine)));
  if (offers.length > 0 || singles.length < 2) return offers;
  for (const candidate of jointChanges(singles)) {
    offers.push(...(await fitting(candidate, input, machine)));
    if (offers.length > 0) break;
  }
  return offers;
}

async function fitting(
  { code, steps }: Candidate,
  input: PreflightInput,
  machine: MachineFacts,
): Promise<PreflightOffer[]> {
  const attempt = async (changes: Changes): Promise<PreflightOffer | null> => {
    const stage = stageConfig.parse({ ...input.stage, ...changes });
    // Sizes of the texts at hand are those of the settings as they were.
    const { problems, total_bytes } = await preflightStage(
      { stage, shapes: input.shapes, seed: input.seed },
      { ...machine, measured: null },
    );
    return problems.length === 0 ? { code, changes, total_bytes } : null;
  };
  const last = steps.at(-1);
  // Where the most is not enough, nothing less is.
  if (last === undefined || (await attempt(last)) === null) return [];
  for (const changes of steps) {
    const offer = await attempt(changes);
    if (offer !== null) return [offer];
  }
  return [];
}

/** `value` halved again and again, down to `least`. */
function halves(value: number, least: number): number[] {
  const all: number[] = [];
  for (let next = Math.floor(value / 2); next >= least; next = Math.floor(next / 2)) all.push(next);
  return all;
}

function singleChanges({ stage, shapes }: PreflightInput): Candidate[] {
  const checkpointing: Candidate[] =
    "gradient_checkpointing" in stage && !stage.gradient_checkpointing
      ? [{ code: "gradient_checkpointing", steps: [{ gradient_checkpointing: true }] }]
      : [];
  switch (stage.stage) {
    case "reward":
    case "sft":
    case "dpo": {
      const { per_device_train_batch_size: batch, gradient_accumulation_steps: accumulation } = stage;
      // The optimizer's steps stay what they are: what a batch loses, accumulation makes up for.
      const smaller = halves(batch, 1)
        .map((size) => ({
          per_device_train_batch_size: size,
          gradient_accumulation_steps: Math.ceil((batch * accumulation) / size),
        }))
        .filter((one) => one.gradient_accumulation_steps <= 256);
      const shorter = halves(stage.max_length, SHORTEST).map((max_length) => ({ max_length }));
      // An adapter wants a whole model below it.
      const lora = stage.peft === null && shapes.model.lora === null ? [{ peft: DEFAULT_LORA }] : [];
      return [
        ...checkpointing,
        { code: "smaller_batch", steps: smaller },
        { code: "shorter_context", steps: shorter },
        { code: "lora", steps: lora },
      ];
    }
    case "ppo":
      return [
        ...checkpointing,
        { code: "fewer_texts", steps: halves(stage.rollout_batch_size, 1).map((n) => ({ rollout_batch_size: n })) },
        { code: "shorter_texts", steps: halves(stage.response_length, SHORTEST).map((n) => ({ response_length: n })) },
      ];
    case "evaluate": {
      const steps = halves(stage.generation.max_new_tokens, SHORTEST).map((max_new_tokens) => ({
        generation: { ...stage.generation, max_new_tokens },
      }));
      return [{ code: "shorter_texts", steps }];
    }
    case "merge":
      return [];
  }
}

/** LoRA with recomputation; then everything at once, each as far as it goes. */
function jointChanges(singles: readonly Candidate[]): Candidate[] {
  const most = (codes: readonly OfferCode[]): Changes =>
    Object.assign({}, ...singles.filter(({ code }) => codes.includes(code)).map(({ steps }) => steps.at(-1) ?? {}));
  const pair: readonly OfferCode[] = ["lora", "gradient_checkpointing"];
  const both = pair.every((wanted) => singles.some(({ code, steps }) => code === wanted && steps.length > 0));
  const kinds = singles.map(({ code }) => code);
  const gentle = most(kinds.filter((code) => code !== "shorter_context" && code !== "shorter_texts"));
  return [
    ...(both ? [{ code: "lora_and_checkpointing", steps: [most(pair)] } as const] : []),
    { code: "all", steps: [gentle, most(kinds)] },
  ];
}
