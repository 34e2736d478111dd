/**
 * The baseline every reward model has to face: logistic regression on character n-grams, trained on the same rows.
 * Plain JavaScript on one core, seconds for thousands of rows; the same rows give the same model, bit for bit.
 */
import { areaUnderCurve } from "../../../src/shared/stats/auc";
import { accuracy } from "../../../src/shared/stats/classification";
import { Random } from "../../../src/shared/stats/random";
import type { Label } from "./labels";
import { decisionValues, fitLogistic, type LogisticModel } from "./logistic";
import { NgramVectorizer } from "./tfidf";

/** What the baseline needs of a row. */
export interface LabelledText {
  readonly sentence: string;
  readonly label: Label;
}

export interface NgramOptions {
  /** Rows beyond this number are left out at random (fixed seed), to bound time and memory. Default 20,000. */
  readonly maxRows?: number;
  /** Called about every 30 ms; may throw to stop. */
  readonly onProgress?: () => void;
}

export interface NgramModel {
  /** Rows it was trained on: fewer than given where `maxRows` was exceeded. */
  readonly rows: number;
  /** Distinct n-grams. */
  readonly features: number;
  readonly iterations: number;
  readonly converged: boolean;
  readonly intercept: number;
  /** Logits of "positive", one a text. */
  decision(texts: readonly string[]): Float64Array;
}

const DEFAULT_MAX_ROWS = 20_000;
/** N-grams that fewer texts have are left out: a half of all of them, and noise. */
const MINIMUM_TEXTS = 2;
/** How long the thread may go without looking at its messages, in milliseconds. */
const TURN = 30;

/** Row objects to numbers: 1 positive, 0 negative. */
export function labelNumbers(rows: readonly LabelledText[]): Uint8Array {
  return Uint8Array.from(rows, ({ label }) => (label === "positive" ? 1 : 0));
}

/** Trains the baseline. Rows of one label only give a model that always says that label. */
export async function trainNgram(rows: readonly LabelledText[], options: NgramOptions = {}): Promise<NgramModel> {
  const maxRows = options.maxRows ?? DEFAULT_MAX_ROWS;
  const used =
    rows.length <= maxRows
      ? rows
      : Random.seeded(0)
          .shuffle([...rows])
          .slice(0, maxRows);
  const texts = used.map(({ sentence }) => sentence);
  const labels = labelNumbers(used);
  let turned = Date.now();
  const pause = async (): Promise<void> => {
    if (Date.now() - turned < TURN) return;
    options.onProgress?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
    turned = Date.now();
  };
  const { vectorizer, rows: features } = await NgramVectorizer.fit(texts, MINIMUM_TEXTS, pause);
  const positives = labels.reduce((sum, label) => sum + label, 0);
  const single = positives === 0 || positives === labels.length;
  const model: LogisticModel = single
    ? {
        weights: new Float64Array(vectorizer.features),
        intercept: positives > 0 ? 1 : -1,
        iterations: 0,
        converged: true,
      }
    : await fitLogistic(features, labels, { C: 10, maxIterations: 1000, tolerance: 1e-3, pause });
  return {
    rows: used.length,
    features: vectorizer.features,
    iterations: model.iterations,
    converged: model.converged,
    intercept: model.intercept,
    decision: (unseen) => decisionValues(model, vectorizer.transform(unseen)),
  };
}

/** Share of right answers and area under the ROC curve on `rows`; null where there is nothing to compute. */
export function evaluateNgram(
  model: NgramModel,
  rows: readonly LabelledText[],
): { readonly accuracy: number | null; readonly auc: number | null } {
  const labels = labelNumbers(rows);
  const scores = model.decision(rows.map(({ sentence }) => sentence));
  return { accuracy: accuracy(scores, labels), auc: areaUnderCurve(scores, labels) };
}
