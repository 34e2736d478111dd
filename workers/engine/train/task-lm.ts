/** Next-token loss: SFT. */
import { IGNORED } from "../data/batches";
import { lmLogits, lmLossHead } from "../model/heads";
import { bucketSize, countTargets } from "./batch";
import type { Task } from "./tasks";

export const LANGUAGE_TASK: Task = {
  kind: "causal-lm",
  head: { kind: "causal-lm" },
  tokensNeeded: (batch) => bucketSize(batch.input_ids.length),
  count: countTargets,
  hasLoss: (batch) => batch.targets !== undefined && countTargets(batch) > 0,
  record: ({ graph, config, parameters, hidden, tokens, purpose }) => {
    const targets = graph.input("targets", [tokens], "i32");
    const token_weight = graph.input("token_weight", [1], "f32");
    return {
      loss: lmLossHead(graph, config, parameters, hidden, { targets, token_weight }),
      outputs: purpose === "logits" ? { logits: lmLogits(graph, config, parameters, hidden) } : {},
    };
  },
  load: (plan, { targets }, weight) => {
    const into = plan.integers("targets").fill(IGNORED);
    if (targets) into.set(targets);
    plan.floats("token_weight")[0] = weight;
  },
  pick: ({ logits }, batch, { vocab_size }) =>
    logits ? { logits: logits.slice(0, batch.input_ids.length * vocab_size) } : {},
};
