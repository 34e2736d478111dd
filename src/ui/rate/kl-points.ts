/** How often people prefer a model to the evaluation's first one, against how far it has moved from it. Pure. */
import type { RatedModel } from "../../shared/protocol/rating-files";
import type { PairOverview } from "../../shared/ratings/figures";
import type { Interval } from "../../shared/stats/binomial";

export interface KlPoint {
  readonly model: string;
  /** Nats a text. */
  readonly kl: number;
  /** Against the reference, ties half. */
  readonly win_rate: number;
  readonly interval: Interval | null;
}

/** Models with a KL and votes against `reference`, by KL. */
export function klPoints(reference: string, models: readonly RatedModel[], pairs: readonly PairOverview[]): KlPoint[] {
  return models
    .flatMap(({ name, kl }) => {
      if (name === reference || kl === null) return [];
      const found = pairs.find(({ verdict }) => verdict.models.includes(name) && verdict.models.includes(reference));
      if (found === undefined) return [];
      const { verdict, over_prompts } = found;
      if (verdict.models[1] === name)
        return [{ model: name, kl, win_rate: verdict.win_rate_b, interval: over_prompts }];
      const turned = over_prompts && { low: 1 - over_prompts.high, high: 1 - over_prompts.low };
      return [{ model: name, kl, win_rate: 1 - verdict.win_rate_b, interval: turned }];
    })
    .sort((one, other) => one.kl - other.kl);
}
