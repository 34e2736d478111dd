import { describe, expect, it } from "vitest";
import type { Metrics } from "../protocol/events";
import type { PpoStageConfig, RewardStageConfig } from "../protocol/stages";
import { type Alarm, type AlarmInput, checkAlarms } from "./check";
import { columnsOf } from "./columns";
import { ALARM_CODES, ALARMS, type AlarmCode } from "./table";
import { ALARM_TEXTS, alarmText } from "./texts";

const training = {
  learning_rate: 1e-4,
  lr_scheduler_type: "constant" as const,
  warmup_ratio: 0,
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
  eval_steps: 10,
  save_steps: 10,
  logging_steps: 1,
};

const PPO: PpoStageConfig = {
  stage: "ppo",
  id: "ppo",
  model: "sft",
  reward_model: "reward",
  data: null,
  prompt: { unit: "characters", length: 5 },
  peft: { r: 8, lora_alpha: 16, lora_dropout: 0, target_modules: ["query_key_value"] },
  total_episodes: 1280,
  rollout_batch_size: 32,
  num_ppo_epochs: 2,
  num_mini_batches: 2,
  response_length: 48,
  temperature: 1,
  reward_baseline: 0,
  reward_scaling: false,
  reward_clip: 10,
  missing_eos_penalty: 1,
  kl_coef: 0.05,
  kl_estimator: "k1",
  target_kl: 6,
  kl_horizon: 1000,
  whiten_rewards: false,
  gamma: 1,
  lam: 0.95,
  cliprange: 0.2,
  cliprange_value: 0.2,
  vf_coef: 0.1,
  gradient_checkpointing: false,
  sample_texts: 8,
  ...training,
};

const REWARD: RewardStageConfig = {
  stage: "reward",
  id: "reward",
  model: "base",
  data: null,
  objective: "binary",
  rows: null,
  pairs: null,
  peft: null,
  num_train_epochs: 3,
  max_steps: -1,
  gradient_accumulation_steps: 1,
  per_device_train_batch_size: 16,
  gradient_checkpointing: false,
  max_length: 256,
  ...training,
};

const UPDATES = 40;

/** Repeatable noise in [-1, 1]. */
function noise(step: number, salt: number): number {
  const x = Math.sin(step * 12.9898 + salt * 78.233) * 43758.5453;
  return 2 * (x - Math.floor(x)) - 1;
}

/** An update of a PPO run that goes well: reward and KL rise gently, everything else stays where it was. */
function healthy(step: number): Metrics {
  const share = step / UPDATES;
  return {
    "objective/kl": 5 * share + 0.4 * noise(step, 1),
    "objective/scores": 0.2 + 1.8 * share + 0.3 * noise(step, 2),
    "val/ratio": 1 + 0.01 * noise(step, 3),
    "policy/clipfrac_avg": 0.06 + 0.03 * noise(step, 4),
    "loss/value_avg": 0.9 * Math.exp(-3 * share) + 0.2 + 0.1 * noise(step, 5),
    "val/num_eos_tokens": 24 + 4 * noise(step, 6),
    share_cut_off: 0.25 + 0.1 * noise(step, 7),
    response_length: 30 + 3 * noise(step, 8),
    distinct2: 0.8 - 0.1 * share + 0.03 * noise(step, 9),
  };
}

function ppo(change: (step: number) => Metrics, updates = UPDATES, stage: PpoStageConfig = PPO): Alarm[] {
  const rows = Array.from({ length: updates }, (_, i) => ({
    step: i + 1,
    metrics: { ...healthy(i + 1), ...change(i + 1) },
  }));
  return checkAlarms({ stage, log: columnsOf(rows), eval: columnsOf([]), majorityAccuracy: null, diverged: null });
}

function reward(evaluations: readonly Metrics[], majorityAccuracy: number | null = 0.52): Alarm[] {
  const rows = evaluations.map((metrics, i) => ({ step: (i + 1) * 50, metrics }));
  return checkAlarms({
    stage: REWARD,
    log: columnsOf([]),
    eval: columnsOf(rows),
    majorityAccuracy,
    diverged: null,
  });
}

const codes = (alarms: readonly Alarm[]): AlarmCode[] => alarms.map((alarm) => alarm.code);
const only = (alarms: readonly Alarm[], code: AlarmCode): Alarm => {
  expect(codes(alarms)).toEqual([code]);
  const [alarm] = alarms;
  if (alarm === undefined) throw new Error("no alarm");
  return alarm;
};
const late = (step: number): number => Math.max(0, (step - 15) / (UPDATES - 15));

describe("checkAlarms on a PPO run", () => {
  it("stays silent while all is well, from the first update to the last", () => {
    for (let updates = 0; updates <= UPDATES; updates++) expect(codes(ppo(() => ({}), updates))).toEqual([]);
  });

  it("sees a KL that is clearly below zero, not one that the noise of k1 took there", () => {
    expect(codes(ppo((step) => ({ "objective/kl": 0.5 * noise(step, 1) })))).toEqual([]);
    const alarm = only(
      ppo((step) => ({ "objective/kl": -2.4 * late(step) + 0.4 * noise(step, 1) })),
      "kl_negative",
    );
    expect(alarm.step).toBeGreaterThan(20);
    expect(alarm.values.kl).toBeLessThan(-1);
  });

  it("sees a KL far above the target and offers a larger coefficient", () => {
    const alarm = only(
      ppo((step) => ({ "objective/kl": 1 + 22 * late(step) })),
      "kl_high",
    );
    expect(alarm.values).toMatchObject({ target: 6, limit: 12 });
    expect(alarm.remedy).toEqual({ kl_coef: 0.1 });
    const free = { ...PPO, target_kl: null };
    expect(codes(ppo((step) => ({ "objective/kl": 15 * late(step) }), UPDATES, free))).toEqual([]);
    expect(codes(ppo((step) => ({ "objective/kl": 30 * late(step) }), UPDATES, free))).toEqual(["kl_high"]);
  });

  it("sees a ratio that drifted away from 1, on either side", () => {
    for (const sign of [1, -1])
      only(
        ppo((step) => ({ "val/ratio": 1 + sign * 0.3 * late(step) })),
        "ratio_off",
      );
  });

  it("sees a large share of clipped tokens", () => {
    const alarm = only(
      ppo((step) => ({ "policy/clipfrac_avg": 0.1 + 0.5 * late(step) })),
      "clipfrac_high",
    );
    expect(alarm.active).toBe(true);
  });

  it("sees rewards of the wrong scale in the value loss and offers baseline and scaling", () => {
    const trap = (step: number): Metrics => ({
      "objective/scores": 7.5 + 0.5 * noise(step, 2),
      "loss/value_avg": 26 + 4 * noise(step, 5),
    });
    const alarm = only(ppo(trap), "value_loss_high");
    expect(alarm.remedy).toEqual({ reward_baseline: "auto", reward_scaling: true });
    expect(alarm.step).toBe(ALARMS.value_loss_high.thresholds.patience);
    const tamed: PpoStageConfig = { ...PPO, reward_baseline: "auto", reward_scaling: true };
    expect(only(ppo(trap, UPDATES, tamed), "value_loss_high").remedy).toBeNull();
  });

  it("sees a value loss that grew from a small one", () => {
    only(
      ppo((step) => ({ "loss/value_avg": 0.3 * Math.exp(3.2 * late(step)) })),
      "value_loss_high",
    );
  });

  it("sees texts collapse while the reward rises, and not while it falls", () => {
    const collapse = (step: number): Metrics => ({ distinct2: 0.8 * (1 - 0.8 * late(step)) });
    const alarm = only(ppo(collapse), "collapse");
    expect(alarm.values.distinct2).toBeLessThan(0.4);
    expect(codes(ppo((step) => ({ ...collapse(step), "objective/scores": 1 - step / 20 })))).toEqual([]);
  });

  it("sees a reward that goes with the length", () => {
    const alarm = only(
      ppo((step) => ({
        response_length: 20 + 25 * late(step) + noise(step, 8),
        "objective/scores": 0.2 + 2 * late(step) + 0.1 * noise(step, 2),
      })),
      "length_reward",
    );
    expect(alarm.values.correlation).toBeGreaterThan(0.7);
    // The same rise of the reward at the same length is what PPO is for.
    expect(codes(ppo((step) => ({ "objective/scores": 0.2 + 2 * late(step) })))).toEqual([]);
  });

  it("sees texts that no longer end, by either number", () => {
    only(
      ppo((step) => ({ share_cut_off: 0.25 + 0.7 * late(step), "val/num_eos_tokens": 24 - 22 * late(step) })),
      "eos_vanishing",
    );
    only(
      ppo((step) => ({ "val/num_eos_tokens": 24 - 22 * late(step) })),
      "eos_vanishing",
    );
    // Texts that were cut from the start on are a setting, not a trend.
    expect(codes(ppo((step) => ({ share_cut_off: 0.9 + 0.05 * noise(step, 7) })))).toEqual([]);
  });

  it("says that an alarm has passed", () => {
    const alarm = only(
      ppo((step) => ({ "policy/clipfrac_avg": step >= 10 && step < 20 ? 0.6 : 0.05 })),
      "clipfrac_high",
    );
    expect(alarm.active).toBe(false);
    expect(alarm.step).toBeLessThan(15);
  });

  it("ignores rows without the metric", () => {
    expect(codes(ppo(() => ({ "val/ratio": null, "loss/value_avg": null, distinct2: null })))).toEqual([]);
  });
});

describe("checkAlarms on other runs", () => {
  const quiet: AlarmInput = {
    stage: REWARD,
    log: columnsOf([]),
    eval: columnsOf([]),
    majorityAccuracy: 0.5,
    diverged: null,
  };

  it("tells of a loss that is no number, first of all", () => {
    const alarm = only(checkAlarms({ ...quiet, diverged: { step: 12, metric: "loss" } }), "diverged");
    expect(alarm).toMatchObject({ step: 12, active: true });
    expect(alarmText(alarm, "en").saw).toContain("step 12");
  });

  it("stays silent on a reward model that learns", () => {
    const learning = [0.55, 0.68, 0.79, 0.84, 0.86].map((value) => ({
      eval_accuracy: value,
      eval_length_correlation: -0.12,
    }));
    for (let count = 0; count <= learning.length; count++) expect(codes(reward(learning.slice(0, count)))).toEqual([]);
  });

  it("sees a reward model that answers like the majority, once it has had time", () => {
    const stuck = [0.51, 0.53, 0.52, 0.53].map((value) => ({ eval_accuracy: value }));
    expect(codes(reward(stuck.slice(0, 2)))).toEqual([]);
    expect(only(reward(stuck), "reward_majority").values).toMatchObject({ accuracy: 0.53, majority: 0.52 });
    expect(codes(reward(stuck, null))).toEqual([]);
  });

  it("sees a reward that is mostly length", () => {
    const long = [0.7, 0.74, 0.75].map((value) => ({ eval_accuracy: value, eval_length_correlation: 0.66 }));
    only(reward(long), "reward_length");
    only(reward(long.map((row) => ({ ...row, eval_length_correlation: -0.7 }))), "reward_length");
  });
});

describe("the table and the texts", () => {
  it("name a source for every alarm", () => {
    for (const code of ALARM_CODES) expect(ALARMS[code].source.url).toMatch(/^https:\/\//);
  });

  it("fill the same placeholders in both languages, with values the checks give", () => {
    const names = (text: string) => [...text.matchAll(/\{(\w+)%?\}/g)].map((match) => match[1]).sort();
    for (const code of ALARM_CODES)
      for (const part of ["title", "saw", "why", "try"] as const)
        expect(names(ALARM_TEXTS.en[code][part]), code).toEqual(names(ALARM_TEXTS.ja[code][part]));
  });

  it("leave no placeholder open", () => {
    const alarms = [
      ...ppo((step) => ({
        "objective/kl": 30 * late(step),
        "val/ratio": 1.5,
        "policy/clipfrac_avg": 0.7,
        "loss/value_avg": 40,
        distinct2: 0.8 * (1 - 0.9 * late(step)),
        share_cut_off: 0.25 + 0.7 * late(step),
        response_length: 20 + 25 * late(step),
        "objective/scores": 0.2 + 2 * late(step),
      })),
      ...ppo(() => ({ "objective/kl": -5 })),
      ...reward([{ eval_accuracy: 0.5, eval_length_correlation: 0.9 }, { eval_accuracy: 0.5 }, { eval_accuracy: 0.5 }]),
      ...checkAlarms({ ...quietInput(), diverged: { step: 1, metric: "loss" } }),
    ];
    expect(new Set(codes(alarms)).size).toBe(ALARM_CODES.length);
    for (const alarm of alarms)
      for (const language of ["ja", "en"] as const) {
        const { title, saw, why, try: remedy } = alarmText(alarm, language);
        expect(`${title}${saw}${why}${remedy}`).not.toMatch(/[{}]|–/);
      }
  });
});

function quietInput(): AlarmInput {
  return { stage: REWARD, log: columnsOf([]), eval: columnsOf([]), majorityAccuracy: null, diverged: null };
}
