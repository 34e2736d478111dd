/** Scores of whole texts, and the three objectives of a reward model. */
import type { RewardObjective } from "../../../src/shared/protocol/config";
import { LABELS, rewardLoss, rewardScores } from "../model/heads";
import { bucketSize, countTexts } from "./batch";
import type { Task } from "./tasks";

/** @param max_texts texts of the largest batch, pairwise: both sides counted. */
export function rewardTask(objective: RewardObjective, max_texts: number): Task {
  const pairwise = objective === "pairwise";
  const texts = pairwise ? 2 * Math.ceil(max_texts / 2) : max_texts;
  const num_labels = LABELS[objective];
  return {
    kind: "reward",
    head: { kind: "reward", num_labels },
    // Where texts are missing, filler texts end at a filler token, of which there must be one.
    tokensNeeded: (batch) => {
      const given = countTexts(batch);
      if (given > texts) throw new Error(`a batch of ${given} texts, at most ${texts} were announced`);
      if (pairwise && given % 2 !== 0) throw new Error(`pairs need an even number of texts, not ${given}`);
      const tokens = batch.input_ids.length;
      return bucketSize(given < texts ? tokens + 1 : tokens);
    },
    count: (batch) => (pairwise ? countTexts(batch) / 2 : countTexts(batch)),
    hasLoss: (batch) => pairwise || batch.labels !== undefined,
    record: ({ graph, parameters, hidden, purpose }) => {
      const scores = rewardScores(graph, parameters, hidden, graph.input("last_index", [texts], "i32"));
      const loss = rewardLoss(graph, objective, scores, {
        labels: pairwise ? undefined : graph.input("labels", [texts], "i32"),
        weight: graph.input("weight", [pairwise ? texts / 2 : texts], "f32"),
      });
      return { loss, outputs: purpose === "train" ? {} : { scores } };
    },
    load: (plan, batch, weight, { tokens }) => {
      // Filler texts are judged by the last token of the stream, which is then filler too (see tokensNeeded).
      const indices = plan.integers("last_index").fill(tokens - 1);
      const given = batch.last_index ?? new Int32Array();
      const weights = plan.floats("weight").fill(0);
      if (pairwise) {
        const pairs = given.length / 2;
        indices.set(given.subarray(0, pairs));
        indices.set(given.subarray(pairs), indices.length / 2);
        weights.fill(weight, 0, pairs);
        return;
      }
      indices.set(given);
      const labels = plan.integers("labels").fill(0);
      if (!batch.labels) return;
      labels.set(batch.labels);
      weights.fill(weight, 0, given.length);
    },
    pick: ({ scores }, batch) => {
      if (!scores) return {};
      const given = countTexts(batch);
      return { scores: pairwise ? pickSides(scores, given / 2) : scores.slice(0, given * num_labels) };
    },
  };
}

/** One number a text out of those of a plan for pairs: its first half is chosen, its second rejected. */
export function pickSides(all: Float32Array, pairs: number): Float32Array {
  const half = all.length / 2;
  return Float32Array.from([...all.subarray(0, pairs), ...all.subarray(half, half + pairs)]);
}
