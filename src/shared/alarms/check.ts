/**
 * Looks at a run's metrics so far and says what is wrong with it. Pure: the run view and the report call it with the same
 * numbers and get the same alarms. A quiet run gives none; `table.ts` holds the thresholds.
 */
import type { PpoStageConfig, StageConfig } from "../protocol/stages";
import { correlationOf, type MetricColumns, meanOf } from "./columns";
import { ALARMS, type AlarmCode, WINDOW } from "./table";

export interface AlarmInput {
  readonly stage: StageConfig;
  /** `log` events: for PPO one row a logged update. */
  readonly log: MetricColumns;
  readonly eval: MetricColumns;
  /** Accuracy of the more frequent label on the validation rows; null where the stage has no such thing. */
  readonly majorityAccuracy: number | null;
  readonly diverged: { readonly step: number; readonly metric: string } | null;
}

/** Settings that would have avoided it; for a PPO stage. */
export type AlarmRemedy = Partial<Pick<PpoStageConfig, "reward_baseline" | "reward_scaling" | "kl_coef">>;

export interface Alarm {
  readonly code: AlarmCode;
  /** Step at which the newest spell of it began. */
  readonly step: number;
  /** It still holds at the newest row. An alarm that passed is told as well: it explains a bend in a curve. */
  readonly active: boolean;
  /** What was seen, for the placeholders of `texts.ts`; of the newest row at which it held. */
  readonly values: Readonly<Record<string, number | string>>;
  readonly remedy: AlarmRemedy | null;
}

type Values = Record<string, number | string>;
/** Rows in a row at which an alarm held. */
type Spell = Pick<Alarm, "step" | "active" | "values">;
/** What is seen with the rows [0, end), null while all is well. */
type Judge = (end: number) => Values | null;

/** Every alarm of the run, the active ones first, then by step. */
export function checkAlarms(input: AlarmInput): Alarm[] {
  const alarms: Alarm[] = [];
  if (input.diverged !== null)
    alarms.push({
      code: "diverged",
      step: input.diverged.step,
      active: true,
      values: { step: input.diverged.step, metric: input.diverged.metric },
      remedy: null,
    });
  const watch = (code: AlarmCode, columns: MetricColumns, judge: Judge, remedy: AlarmRemedy | null = null): void => {
    const steps = columns.column("step");
    const found = newestSpell(steps, judge);
    if (found !== null) alarms.push({ ...found, code, remedy });
  };
  if (input.stage.stage === "ppo") watchPpo(input.stage, input.log, watch);
  if (input.stage.stage === "reward") watchReward(input, watch);
  return alarms.sort((a, b) => Number(b.active) - Number(a.active) || a.step - b.step);
}

function newestSpell(steps: ArrayLike<number>, judge: Judge): Spell | null {
  const spells: Spell[] = [];
  let holding = false;
  for (let end = 1; end <= steps.length; end++) {
    const values = judge(end);
    const step = steps[end - 1] ?? 0;
    if (values !== null) spells.push({ step: holding ? (spells.pop()?.step ?? step) : step, active: true, values });
    holding = values !== null;
  }
  const newest = spells.at(-1);
  return newest === undefined ? null : { ...newest, active: holding };
}

type Watch = (code: AlarmCode, columns: MetricColumns, judge: Judge, remedy?: AlarmRemedy | null) => void;

function watchPpo(stage: PpoStageConfig, log: MetricColumns, watch: Watch): void {
  const kl = log.column("objective/kl");
  const scores = log.column("objective/scores");
  const valueLoss = log.column("loss/value_avg");
  const distinct = log.column("distinct2");
  const length = log.column("response_length");
  const cutOff = log.column("share_cut_off");
  const eos = log.column("val/num_eos_tokens");

  /** Mean of the last WINDOW rows before `end`; null before there are as many. */
  const recent = (values: ArrayLike<number>, end: number): number | null =>
    end < WINDOW ? null : meanOf(values, end - WINDOW, end);
  /** Mean of the first WINDOW rows; null until another window has followed it. */
  const start = (values: ArrayLike<number>, end: number): number | null =>
    end < 2 * WINDOW ? null : meanOf(values, 0, WINDOW);
  const above = (values: ArrayLike<number>, limit: number, end: number, name: string): Values | null => {
    const mean = recent(values, end);
    return mean !== null && mean > limit ? { [name]: mean, limit } : null;
  };
  const rewardRose = (end: number): { reward: number; reward_start: number } | null => {
    const [now, then] = [recent(scores, end), start(scores, end)];
    return now !== null && then !== null && now > then ? { reward: now, reward_start: then } : null;
  };

  watch("kl_negative", log, (end) => {
    const mean = recent(kl, end);
    const limit = ALARMS.kl_negative.thresholds.below;
    return mean !== null && mean < limit ? { kl: mean, limit } : null;
  });

  const target = stage.target_kl ?? ALARMS.kl_high.thresholds.default_target;
  watch(
    "kl_high",
    log,
    (end) => {
      const seen = above(kl, target * ALARMS.kl_high.thresholds.times_target, end, "kl");
      return seen === null ? null : { ...seen, target };
    },
    { kl_coef: stage.kl_coef === 0 ? 0.05 : stage.kl_coef * 2 },
  );

  const tolerance = stage.cliprange * ALARMS.ratio_off.thresholds.share_of_cliprange;
  const ratio = log.column("val/ratio");
  watch("ratio_off", log, (end) => {
    const mean = recent(ratio, end);
    return mean !== null && Math.abs(mean - 1) > tolerance ? { ratio: mean, tolerance } : null;
  });

  const clipped = log.column("policy/clipfrac_avg");
  watch("clipfrac_high", log, (end) => above(clipped, ALARMS.clipfrac_high.thresholds.above, end, "clipfrac"));

  const rule = ALARMS.value_loss_high.thresholds;
  const tamed = stage.reward_baseline === "auto" && stage.reward_scaling;
  watch(
    "value_loss_high",
    log,
    (end) => {
      if (end < rule.patience) return null;
      const mean = recent(valueLoss, end);
      const first = start(valueLoss, end);
      if (mean === null) return null;
      const grew = first !== null && mean > rule.at_least && mean > first * rule.times_start;
      return mean > rule.above || grew
        ? { value_loss: mean, limit: rule.above, reward: recent(scores, end) ?? 0 }
        : null;
    },
    tamed ? null : { reward_baseline: "auto", reward_scaling: true },
  );

  watch("collapse", log, (end) => {
    const [now, then, reward] = [recent(distinct, end), start(distinct, end), rewardRose(end)];
    if (now === null || then === null || reward === null) return null;
    return now < then * ALARMS.collapse.thresholds.share_of_start
      ? { distinct2: now, distinct2_start: then, ...reward }
      : null;
  });

  const lengthRule = ALARMS.length_reward.thresholds;
  watch("length_reward", log, (end) => {
    if (end < lengthRule.rows) return null;
    const [now, then, reward] = [recent(length, end), start(length, end), rewardRose(end)];
    if (now === null || then === null || reward === null || !(now > then * lengthRule.growth)) return null;
    const correlation = correlationOf(length, scores, end - lengthRule.rows, end);
    return correlation !== null && correlation > lengthRule.correlation
      ? { correlation, length: now, length_start: then, ...reward }
      : null;
  });

  const eosRule = ALARMS.eos_vanishing.thresholds;
  watch("eos_vanishing", log, (end) => {
    const [share, shareStart] = [recent(cutOff, end), start(cutOff, end)];
    const [ends, endsStart] = [recent(eos, end), start(eos, end)];
    const rose = share !== null && shareStart !== null && share > eosRule.share && share - shareStart > eosRule.rise;
    const fell = ends !== null && endsStart !== null && endsStart > 0 && ends < endsStart * eosRule.eos;
    if (!rose && !fell) return null;
    return {
      share: share ?? Number.NaN,
      share_start: shareStart ?? Number.NaN,
      eos: ends ?? Number.NaN,
      eos_start: endsStart ?? Number.NaN,
    };
  });
}

function watchReward(input: AlarmInput, watch: Watch): void {
  const accuracy = input.eval.column("eval_accuracy");
  const correlation = input.eval.column("eval_length_correlation");
  const { margin, evaluations } = ALARMS.reward_majority.thresholds;
  const majority = input.majorityAccuracy;
  watch("reward_majority", input.eval, (end) => {
    const value = accuracy[end - 1] ?? Number.NaN;
    if (majority === null || end < evaluations || !Number.isFinite(value)) return null;
    return value - majority > margin ? null : { accuracy: value, majority, margin };
  });
  watch("reward_length", input.eval, (end) => {
    const value = correlation[end - 1] ?? Number.NaN;
    return Math.abs(value) > ALARMS.reward_length.thresholds.correlation ? { correlation: value } : null;
  });
}
