/**
 * When a run is in trouble: every alarm with its thresholds and where they come from, in one place. `check.ts` applies
 * them, `texts.ts` says them. Metric keys are trl's.
 */

export const ALARM_CODES = [
  "diverged",
  "kl_negative",
  "kl_high",
  "ratio_off",
  "clipfrac_high",
  "value_loss_high",
  "collapse",
  "length_reward",
  "eos_vanishing",
  "reward_majority",
  "reward_length",
] as const;

export type AlarmCode = (typeof ALARM_CODES)[number];

/** Logged rows that are averaged before they are judged: one row of one rollout is too noisy. */
export const WINDOW = 3;

export interface AlarmRule {
  /** Numbers that `check.ts` compares with; their meaning and unit stand beside each. */
  readonly thresholds: Readonly<Record<string, number>>;
  /** What the thresholds rest on: a title and where to read it. */
  readonly source: { readonly title: string; readonly url: string };
  /** Metric whose chart shows it. */
  readonly metric: string;
}

export const ALARMS = {
  diverged: {
    thresholds: {},
    source: {
      title: "Zhang et al. 2022, OPT: restart from an earlier checkpoint with a lower learning rate",
      url: "https://arxiv.org/abs/2205.01068",
    },
    metric: "loss",
  },
  kl_negative: {
    // Nats a text. trl's own PPOTrainer warned below -1.
    thresholds: { below: -1 },
    source: {
      title: "TRL, Training FAQ: what is the concern with negative KL divergence?",
      url: "https://huggingface.co/docs/trl/how_to_train",
    },
    metric: "objective/kl",
  },
  kl_high: {
    // Times the target in nats a text: target_kl, or, where the config has none, the ten that TRL's guide names.
    thresholds: { times_target: 2, default_target: 10 },
    source: {
      title: "TRL, Training FAQ: keep the KL between 0 and 10; Gao et al. 2022 on what happens beyond",
      url: "https://huggingface.co/docs/trl/how_to_train",
    },
    metric: "objective/kl",
  },
  ratio_off: {
    // |mean ratio - 1| as a share of cliprange. Clipping holds single ratios; a mean this far off means most are clipped.
    thresholds: { share_of_cliprange: 0.5 },
    source: {
      title: "TRL, PPO trainer: val/ratio floats around 1.0 and is clipped by cliprange",
      url: "https://huggingface.co/docs/trl/ppo_trainer",
    },
    metric: "val/ratio",
  },
  clipfrac_high: {
    // Share of tokens whose ratio was clipped.
    thresholds: { above: 0.3 },
    source: {
      title: "Huang et al. 2022, The 37 implementation details of PPO: debug variables",
      url: "https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/",
    },
    metric: "policy/clipfrac_avg",
  },
  value_loss_high: {
    // Absolute: rewards of unit scale give below 1. times_start: against the first rows. patience: rows the head gets to learn.
    thresholds: { above: 10, times_start: 10, at_least: 1, patience: 5 },
    source: {
      title: "Huang et al. 2024, The N+ implementation details of RLHF with PPO: reward normalisation",
      url: "https://arxiv.org/abs/2403.17031",
    },
    metric: "loss/value_avg",
  },
  collapse: {
    // distinct-2 now / at the start, while the reward is above its start.
    thresholds: { share_of_start: 0.5 },
    source: {
      title: "Li et al. 2016, A diversity-promoting objective function: distinct-2",
      url: "https://arxiv.org/abs/1510.03055",
    },
    metric: "distinct2",
  },
  length_reward: {
    // Pearson's r of reward and length over the last rows; growth: length now / at the start.
    thresholds: { correlation: 0.7, growth: 1.2, rows: 12 },
    source: {
      title: "Singhal et al. 2023, A long way to go: investigating length correlations in RLHF",
      url: "https://arxiv.org/abs/2310.03716",
    },
    metric: "response_length",
  },
  eos_vanishing: {
    // Share of texts cut off now and its rise since the start; eos: texts with EOS now / at the start.
    thresholds: { share: 0.5, rise: 0.25, eos: 0.5 },
    source: {
      title: "Huang et al. 2024, The N+ implementation details of RLHF with PPO: the EOS trick",
      url: "https://arxiv.org/abs/2403.17031",
    },
    metric: "share_cut_off",
  },
  reward_majority: {
    // Points of accuracy that must lie between the model and the majority class; evaluations before it is judged.
    thresholds: { margin: 0.02, evaluations: 3 },
    source: {
      title: "Lambert et al. 2024, RewardBench: chance and simple baselines",
      url: "https://arxiv.org/abs/2403.13787",
    },
    metric: "eval_accuracy",
  },
  reward_length: {
    // |Pearson's r| of reward and length on the evaluation rows.
    thresholds: { correlation: 0.5, evaluations: 1 },
    source: {
      title: "Singhal et al. 2023, A long way to go: investigating length correlations in RLHF",
      url: "https://arxiv.org/abs/2310.03716",
    },
    metric: "eval_length_correlation",
  },
} as const satisfies Record<AlarmCode, AlarmRule>;
