/** A run's events as lines for a person at a terminal. */
import type { Metrics, RunEventBody } from "../../src/shared/protocol/events";

/** "1:02:03", "2:03", "0:07". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? "-" : value.toFixed(digits);

const share = (metrics: Metrics, key: string): string => number(metrics[key], 3);

/** What a line says of a stage's figures, in this order, as far as the stage has them. */
const LOGGED = ["loss", "objective/scores", "objective/rlhf_reward", "objective/kl", "rewards/margins"];
const EVALUATED = [
  "eval_loss",
  "eval_perplexity",
  "eval_accuracy",
  "eval_auc",
  "eval_rewards/accuracies",
  "eval_scores",
  "eval_kl",
  "eval_distinct2",
  "eval_response_length",
];

const listed = (metrics: Metrics, keys: readonly string[]): string =>
  keys
    .filter((key) => metrics[key] !== undefined)
    .map((key) => `${key} ${share(metrics, key)}`)
    .join("  ");

/** Turns events into lines; keeps what later lines need (totals, the last accuracy, the pace). */
export class Progress {
  private total = 0;
  private baseline = "";
  private accuracy: number | null = null;
  private start: { readonly step: number; readonly time: number } | null = null;

  constructor(private readonly clock: () => number) {}

  /** The lines an event is worth; none for most states. */
  lines(event: RunEventBody): string[] {
    switch (event.type) {
      case "state":
        return event.state === "preparing" || event.state === "paused" || event.state === "stopped"
          ? [event.state]
          : [];
      case "prepared": {
        this.total = event.total_steps;
        this.start ??= { step: 0, time: this.clock() };
        const { baselines } = event;
        this.baseline = baselines
          ? `n-gram ${number(baselines.ngram_accuracy, 3)}, majority ${number(baselines.majority_accuracy, 3)}`
          : "";
        const cut =
          event.truncated_rows > 0 ? [`${event.truncated_rows} texts were longer than max_length and were cut`] : [];
        return [
          `${event.adapter}: ${event.parameters.toLocaleString("en")} parameters, ${(event.gpu_bytes / 2 ** 20).toFixed(0)} MiB`,
          `${event.train_rows} training, ${event.validation_rows} validation, ${event.test_rows} test rows; ${event.total_steps} steps, ${event.steps_per_epoch} an epoch`,
          ...cut,
          ...(baselines ? [`to beat on validation: ${this.baseline}`] : []),
        ];
      }
      case "resumed":
        this.start = { step: event.step, time: this.clock() };
        return [`resumed at step ${event.step}`];
      case "log":
        return [this.logLine(event.step, event.metrics)];
      case "eval":
        this.accuracy = event.metrics.eval_accuracy ?? null;
        return [
          `step ${event.step}: ${listed(event.metrics, EVALUATED)}${this.baseline === "" ? "" : `  (${this.baseline})`}`,
        ];
      case "samples":
        return event.texts.map(({ prompt, text }) => `step ${event.step}: ${prompt}|${text}`);
      case "checkpoint":
        return [`step ${event.step}: checkpoint, ${(event.bytes / 2 ** 20).toFixed(1)} MiB`];
      case "diverged":
        return [`step ${event.step}: ${event.metric} is not finite`];
      case "result":
        return this.resultLines(event.metrics);
    }
  }

  private logLine(step: number, metrics: Metrics): string {
    const rate = metrics.learning_rate;
    const done = step - (this.start?.step ?? 0);
    const left = this.start && done > 0 ? ((this.clock() - this.start.time) / 1000 / done) * (this.total - step) : 0;
    return (
      `step ${step}/${this.total}  ${listed(metrics, LOGGED)}  grad_norm ${number(metrics.grad_norm, 2)}` +
      `  lr ${rate === null || rate === undefined ? "-" : rate.toExponential(2)}  ${number(metrics.tokens_per_second, 0)} tokens/s` +
      `${this.accuracy === null ? "" : `  accuracy ${number(this.accuracy, 3)}`}  left ${duration(left)}`
    );
  }

  private resultLines(metrics: Metrics): string[] {
    if (metrics.ngram_accuracy === undefined) return [];
    const split = metrics.test_accuracy === undefined ? "eval" : "test";
    return [
      `${split === "eval" ? "validation" : "test"}: accuracy ${share(metrics, `${split}_accuracy`)}  auc ${share(metrics, `${split}_auc`)}` +
        `  (n-gram ${share(metrics, "ngram_accuracy")}, auc ${share(metrics, "ngram_auc")}; majority ${share(metrics, "majority_accuracy")})`,
    ];
  }
}
