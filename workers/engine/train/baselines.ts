/** What a reward model has to beat: the more frequent label, and character n-grams with logistic regression. */
import { z } from "zod";
import { majorityAccuracy } from "../../../src/shared/stats/classification";
import { evaluateNgram, trainNgram } from "../data/ngram";
import type { Split, Splits } from "./rows";

const share = z.number().min(0).max(1);

/** On one split; both were fitted to the training rows. */
const figures = z.strictObject({
  majority_accuracy: share,
  ngram_accuracy: share,
  ngram_auc: share.nullable(),
});

export const baselines = z.strictObject({ validation: figures, test: figures.nullable() });
export type Baselines = z.infer<typeof baselines>;

/** Fits the baselines to the training rows and measures them on the others. Takes seconds; yields to messages. */
export async function fitBaselines({ train, validation, test }: Splits): Promise<Baselines> {
  const ngram = await trainNgram(train.rows);
  const on = (split: Split): Baselines["validation"] => {
    const { accuracy, auc } = evaluateNgram(ngram, split.rows);
    const majority = majorityAccuracy(train.labels, split.labels);
    if (accuracy === null || majority === null) throw new RangeError("a split needs rows");
    return { majority_accuracy: majority, ngram_accuracy: accuracy, ngram_auc: auc };
  };
  return { validation: on(validation), test: test && on(test) };
}
