/** DPO: log-probabilities of whole completions, and the loss of pairs of them. */
import { IGNORED, type PackedBatch } from "../data/batches";
import { dpoPairsLoss, textInputs, textLogps, tokenLogprobs } from "../model/rl-heads";
import { bucketSize, countTexts } from "./batch";
import { pickSides } from "./task-reward";
import type { Task } from "./tasks";

export interface DpoSettings {
  readonly beta: number;
  readonly label_smoothing: number;
}

/**
 * Batches have targets in the completions, the first half of the texts chosen, the second rejected; to train, also
 * `reference_logps`. A forward pass gives `logps`, without the adapter those of the reference.
 * @param max_texts of the largest batch, both sides counted.
 */
export function dpoTask({ beta, label_smoothing }: DpoSettings, max_texts: number): Task {
  const texts = 2 * Math.ceil(max_texts / 2);
  return {
    kind: "dpo",
    head: { kind: "causal-lm" },
    tokensNeeded: (batch) => {
      const given = countTexts(batch);
      if (given > texts || given % 2 !== 0)
        throw new Error(`a batch of ${given} texts; pairs of at most ${texts} texts were announced`);
      return bucketSize(batch.input_ids.length);
    },
    count: (batch) => countTexts(batch) / 2,
    hasLoss: () => false,
    record: ({ graph, config, parameters, hidden, tokens, purpose }) => {
      const targets = graph.input("targets", [tokens], "i32");
      const { logprob } = tokenLogprobs(graph, config, parameters, hidden, { targets, temperature: 1 });
      const logps = textLogps(graph, logprob, textInputs(graph, tokens, texts));
      if (purpose !== "train") return { loss: undefined, outputs: { logps } };
      const reference = graph.input("reference", [texts], "f32");
      const weight = graph.input("weight", [texts / 2], "f32");
      return {
        loss: dpoPairsLoss(graph, { logps, reference, weight }, { beta, label_smoothing }),
        outputs: { logps },
      };
    },
    load: (plan, batch, weight, { purpose }) => {
      const { targets, last_index, reference_logps } = batch;
      if (!targets || !last_index) throw new Error("a DPO batch needs targets and last_index");
      plan.integers("targets").fill(IGNORED).set(targets);
      const text = plan.integers("text").fill(-1);
      // Texts that are not there are empty.
      const first = plan.integers("first").fill(0);
      const end = plan.integers("end").fill(0);
      const pairs = last_index.length / 2;
      const slotOf = (index: number) => (index < pairs ? index : texts / 2 + index - pairs);
      for (const [index, last] of last_index.entries()) {
        const start = batch.segment_start[last] ?? 0;
        first[slotOf(index)] = start;
        end[slotOf(index)] = last + 1;
        text.fill(slotOf(index), start, last + 1);
      }
      if (purpose !== "train") return;
      if (reference_logps?.length !== last_index.length)
        throw new Error("a DPO batch to train on needs the reference's log-probability of each text");
      const reference = plan.floats("reference").fill(0);
      for (const [index, value] of reference_logps.entries()) reference[slotOf(index)] = value;
      plan.floats("weight").fill(0).fill(weight, 0, pairs);
    },
    pick: ({ logps }, batch: PackedBatch) => (logps ? { logps: pickSides(logps, countTexts(batch) / 2) } : {}),
  };
}
