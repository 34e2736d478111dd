/**
 * The first half of a PPO update: continue prompts, have them scored, measure what the policy and the reference thought of
 * every token, and turn that into advantages. Nothing is trained here.
 */
import type { PpoStageConfig } from "../../../src/shared/protocol/config";
import type { Metrics, WrittenText } from "../../../src/shared/protocol/events";
import type { Tokenizer } from "../data/tokenizer";
import { type Completion, chosenIds, chosenTokens, completionOf, packCompletions, takeChosen } from "./completions";
import type { Generator } from "./generator";
import type { DeviceGuard } from "./guard";
import { type Prompt, writtenText } from "./prompts";
import { explainedVariance, generalizedAdvantages, tokenRewards, whiten } from "./rl/advantages";
import { distinct2 } from "./rl/distinct";
import { type KlEstimator, tokenKl } from "./rl/kl";
import { mean, startsOf, textSums } from "./rl/ragged";
import { type RunningMoments, shapeScores, standardDeviation, withBatch } from "./rl/scores";
import type { BatchLimits } from "./sampler";
import { fittingRuns } from "./score";
import type { RewardScorer } from "./scorer";
import type { Trainer } from "./trainer";

/** What rollouts are made with. */
export interface RolloutTools {
  readonly trainer: Trainer;
  readonly generator: Generator;
  readonly scorer: RewardScorer;
  readonly tokenizer: Tokenizer;
  readonly guard: DeviceGuard;
  readonly limits: BatchLimits;
}

/** Texts of the policy with what the reward model says, before anything is done to the rewards. */
export interface ScoredTexts {
  readonly completions: readonly Completion[];
  /** As they came from the reward model. */
  readonly scores: Float64Array;
  readonly finished: readonly boolean[];
  readonly written: readonly WrittenText[];
}

/** One rollout, ready to be learnt from. Arrays of tokens as in rl/ragged.ts. */
export interface Rollout extends ScoredTexts {
  readonly starts: Int32Array;
  readonly logprobs: Float64Array;
  readonly values: Float64Array;
  readonly advantages: Float64Array;
  readonly returns: Float64Array;
  /** Nats a text, mean. */
  readonly kl: number;
  /** The running moments with this rollout's rewards. */
  readonly rewards: RunningMoments;
  readonly metrics: Metrics;
}

type Decoding = Pick<PpoStageConfig, "response_length" | "temperature">;

/** Continues prompts and scores the whole texts, re-encoded by the reward model's own tokenizer. */
export async function writeTexts(
  { generator, scorer, tokenizer, guard }: RolloutTools,
  prompts: readonly Prompt[],
  { response_length, temperature }: Decoding,
  seed: number,
): Promise<ScoredTexts> {
  const { ids, finished } = await guard.wait(
    generator.generate(
      prompts.map((prompt) => prompt.ids),
      {
        max_new_tokens: response_length,
        temperature,
        top_k: 0,
        top_p: 1,
        seed,
        eos_token_id: tokenizer.eosId,
      },
    ),
  );
  const texts = prompts.map((prompt, i) => writtenText(tokenizer, prompt, ids[i] ?? new Int32Array()));
  const scored = await guard.wait(scorer.score(texts.map(({ whole }) => whole)));
  const scores = Float64Array.from(scored, ({ reward }) => reward);
  return {
    completions: prompts.map((prompt, i) => completionOf(prompt.ids, ids[i] ?? new Int32Array())),
    scores,
    finished,
    written: prompts.map((prompt, i) => ({
      prompt: prompt.text,
      text: texts[i]?.text ?? "",
      reward: scores[i] ?? null,
      tokens: ids[i]?.length ?? 0,
      finished: finished[i] ?? false,
    })),
  };
}

/** What is said about texts whatever they are for. @param eosId left out of distinct-2 */
export function textMetrics(
  { completions, scores, finished }: ScoredTexts,
  eosId: number,
): Record<string, number | null> {
  return {
    scores: mean(scores),
    response_length: mean(completions.map(chosenTokens)),
    share_cut_off: mean(finished.map((one) => (one ? 0 : 1))),
    distinct2: distinct2(completions.map((text) => chosenIds(text).filter((id) => id !== eosId))),
  };
}

/** Log-probabilities and values of every chosen token, by the policy or (adapter off) by the reference. */
async function measure(
  { trainer, guard, limits }: RolloutTools,
  completions: readonly Completion[],
  adapter: boolean,
): Promise<{ readonly logprobs: Float64Array; readonly values: Float64Array }> {
  const lengths = completions.map(({ ids }) => ids.length);
  const parts = fittingRuns(lengths, limits, false).map(async ([first, end]) => {
    const batch = packCompletions(completions.slice(first, end));
    const { tokens } = await guard.wait(trainer.forward(batch, { adapter }));
    if (!tokens) throw new Error("a PPO trainer measures tokens");
    return {
      logprobs: takeChosen(tokens.logprobs, batch.targets),
      values: tokens.values ? takeChosen(tokens.values, batch.targets) : new Float64Array(),
    };
  });
  const measured = await Promise.all(parts);
  const join = (key: "logprobs" | "values") => Float64Array.from(measured.flatMap((part) => [...part[key]]));
  return { logprobs: join("logprobs"), values: join("values") };
}

/** Nats a text that the policy is away from the reference, on these texts of its own. */
export async function textKl(
  tools: RolloutTools,
  { completions }: ScoredTexts,
  estimator: KlEstimator,
): Promise<number> {
  const policy = await measure(tools, completions, true);
  const reference = await measure(tools, completions, false);
  const kl = tokenKl(estimator, policy.logprobs, reference.logprobs);
  return mean(textSums(kl, startsOf(completions.map(chosenTokens))));
}

export interface RolloutSettings {
  readonly config: PpoStageConfig;
  readonly kl_coef: number;
  readonly reward_baseline: number;
  readonly rewards: RunningMoments;
  readonly seed: number;
}

/** Makes a rollout. The reference's log-probabilities are computed here, once for all epochs. */
export async function makeRollout(
  tools: RolloutTools,
  prompts: readonly Prompt[],
  { config, kl_coef, reward_baseline, rewards: earlier, seed }: RolloutSettings,
): Promise<Rollout> {
  const texts = await writeTexts(tools, prompts, config, seed);
  const { completions, scores, finished } = texts;
  const starts = startsOf(completions.map(chosenTokens));
  const { logprobs, values } = await measure(tools, completions, true);
  const reference = await measure(tools, completions, false);

  const rewards = withBatch(earlier, scores);
  const shaped = shapeScores(scores, finished, {
    reward_baseline,
    scale: config.reward_scaling ? standardDeviation(rewards) : null,
    reward_clip: config.reward_clip,
    missing_eos_penalty: config.missing_eos_penalty,
  });
  const kl = tokenKl(config.kl_estimator, logprobs, reference.logprobs);
  const plain = tokenRewards(kl, kl_coef, shaped, starts);
  const { advantages, returns } = generalizedAdvantages(
    config.whiten_rewards ? whiten(plain, false) : plain,
    values,
    starts,
    config,
  );
  const perText = mean(textSums(kl, starts));
  const { scores: meanScore = null, ...lengths } = textMetrics(texts, tools.tokenizer.eosId);
  const non_score = -kl_coef * perText;
  return {
    ...texts,
    starts,
    logprobs,
    values,
    advantages: whiten(advantages),
    returns,
    kl: perText,
    rewards,
    metrics: {
      "objective/kl": perText,
      "objective/entropy": -mean(textSums(logprobs, starts)),
      "objective/non_score_reward": non_score,
      "objective/rlhf_reward": non_score + mean(shaped),
      "objective/scores": meanScore,
      "objective/kl_coef": kl_coef,
      "objective/reward_baseline": reward_baseline,
      "val/explained_variance": explainedVariance(values, returns),
      "val/num_eos_tokens": finished.filter(Boolean).length,
      ...lengths,
    },
  };
}
