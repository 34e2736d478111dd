/** The second half of a PPO update: several epochs of minibatches over one rollout. */
import type { PpoStageConfig } from "../../../src/shared/protocol/config";
import { Random } from "../../../src/shared/stats/random";
import type { PackedBatch } from "../data/batches";
import { packCompletions, putChosen, takeChosen } from "./completions";
import type { Rollout, RolloutTools } from "./ppo-rollout";
import { boundsOf, mean } from "./rl/ragged";
import { type MinibatchTokens, type UpdateStats, updateStats } from "./rl/update-stats";
import { fittingRuns } from "./score";
import type { StepResult } from "./trainer";

/** Enough to keep the GPU busy while a minibatch is packed. */
const STEPS_IN_FLIGHT = 2;

export interface UpdateResult {
  /** One a minibatch, in order. */
  readonly stats: readonly UpdateStats[];
  /** Mean over the minibatches, before clipping. */
  readonly grad_norm: number;
  /** Tokens trained on, prompts and repetitions included. */
  readonly tokens: number;
}

export interface UpdateSettings {
  readonly config: PpoStageConfig;
  readonly learning_rate: number;
  /** Decides the order of the texts; each epoch has its own. */
  readonly seed: number;
  /** Called with the name of the first number that is not finite; throws. */
  readonly diverged: (metric: string) => never;
}

/** What of a rollout one stream of some of its texts needs, laid out a chosen token. */
function tokensOf(rollout: Rollout, texts: readonly number[]) {
  const join = (values: Float64Array) =>
    Float64Array.from(texts.flatMap((text) => [...values.subarray(...boundsOf(rollout.starts, text))]));
  return {
    old_logprobs: join(rollout.logprobs),
    old_values: join(rollout.values),
    advantages: join(rollout.advantages),
    returns: join(rollout.returns),
  };
}

interface MicroBatch {
  readonly batch: PackedBatch & { readonly targets: Int32Array };
  readonly known: ReturnType<typeof tokensOf>;
}

function packMinibatch(rollout: Rollout, texts: readonly number[], limits: RolloutTools["limits"]): MicroBatch[] {
  const completions = texts.map((text) => {
    const completion = rollout.completions[text];
    if (!completion) throw new RangeError(`no text ${text}`);
    return completion;
  });
  const lengths = completions.map(({ ids }) => ids.length);
  return fittingRuns(lengths, limits, false).map(([first, end]) => {
    const packed = packCompletions(completions.slice(first, end));
    const known = tokensOf(rollout, texts.slice(first, end));
    const put = (values: Float64Array) => putChosen(values, packed.targets);
    const ppo = {
      old_logprobs: put(known.old_logprobs),
      old_values: put(known.old_values),
      advantages: put(known.advantages),
      returns: put(known.returns),
    };
    return { batch: { ...packed, ppo }, known };
  });
}

/** The tokens of a whole minibatch, as its statistics need them. */
function minibatchTokens(parts: readonly MicroBatch[], result: StepResult): MinibatchTokens {
  const measured = parts.map(({ batch, known }, index) => {
    const tokens = result.outputs?.[index]?.tokens;
    if (!tokens?.values || !tokens.entropies) throw new Error("a PPO trainer measures tokens");
    return {
      ...known,
      logprobs: takeChosen(tokens.logprobs, batch.targets),
      values: takeChosen(tokens.values, batch.targets),
      entropies: takeChosen(tokens.entropies, batch.targets),
    };
  });
  const join = (key: keyof MinibatchTokens) => measured.flatMap((part) => [...part[key]]);
  return {
    logprobs: join("logprobs"),
    values: join("values"),
    entropies: join("entropies"),
    old_logprobs: join("old_logprobs"),
    old_values: join("old_values"),
    advantages: join("advantages"),
    returns: join("returns"),
  };
}

/** Texts of each minibatch of an epoch: a random order, cut into parts of equal size. */
export function minibatches(texts: number, parts: number, random: Random): number[][] {
  const order = random.shuffle(Array.from({ length: texts }, (_, index) => index));
  const size = Math.ceil(texts / Math.min(parts, texts));
  return Array.from({ length: Math.ceil(texts / size) }, (_, part) => order.slice(part * size, (part + 1) * size));
}

/** Takes num_ppo_epochs * num_mini_batches optimizer steps on a rollout. */
export async function updatePolicy(
  { trainer, guard, limits }: RolloutTools,
  rollout: Rollout,
  { config, learning_rate, seed, diverged }: UpdateSettings,
): Promise<UpdateResult> {
  const stats: UpdateStats[] = [];
  const norms: number[] = [];
  const pending: { readonly parts: readonly MicroBatch[]; readonly result: Promise<StepResult> }[] = [];
  let tokens = 0;
  const settle = async (keep: number): Promise<void> => {
    while (pending.length > keep) {
      const oldest = pending.shift();
      if (!oldest) return;
      const result = await oldest.result;
      if (!Number.isFinite(result.loss)) diverged("loss");
      if (!Number.isFinite(result.grad_norm)) diverged("grad_norm");
      stats.push(updateStats(minibatchTokens(oldest.parts, result), config));
      norms.push(result.grad_norm);
    }
  };
  for (let epoch = 0; epoch < config.num_ppo_epochs; epoch++) {
    const random = Random.seeded(seed, epoch);
    for (const texts of minibatches(rollout.completions.length, config.num_mini_batches, random)) {
      const parts = packMinibatch(rollout, texts, limits);
      const result = guard.wait(
        trainer.step(
          parts.map(({ batch }) => batch),
          learning_rate,
        ),
      );
      // Seen in settle(); until then a rejection must not count as unhandled.
      result.catch(() => undefined);
      pending.push({ parts, result });
      tokens += parts.reduce((sum, { batch }) => sum + batch.input_ids.length, 0);
      await settle(STEPS_IN_FLIGHT - 1);
    }
  }
  await settle(0);
  return { stats, grad_norm: mean(norms), tokens };
}

/** Tokens of the longest texts that can meet in a minibatch, at most `most` unless one text alone is longer. */
export function ppoLimits(config: PpoStageConfig, longestPrompt: number, most: number): RolloutTools["limits"] {
  const longest = longestPrompt + config.response_length;
  const texts = Math.ceil(config.rollout_batch_size / config.num_mini_batches);
  return { max_tokens: Math.max(longest, Math.min(most, texts * longest)), max_texts: config.rollout_batch_size };
}
