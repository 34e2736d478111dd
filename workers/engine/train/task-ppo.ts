/** PPO: log-probabilities and values of the tokens a policy chose, and the clipped losses. */
import { IGNORED } from "../data/batches";
import { ppoInputs, ppoLoss, tokenLogprobs, tokenValues } from "../model/rl-heads";
import { bucketSize, countTargets } from "./batch";
import type { Task } from "./tasks";

/** PPO's settings that are part of its plans. */
export interface PpoSettings {
  readonly temperature: number;
  readonly cliprange: number;
  readonly cliprange_value: number;
  readonly vf_coef: number;
}

/**
 * Batches have targets where the policy chose; to train, also `ppo`. A forward pass without the adapter (the reference)
 * gives log-probabilities only.
 */
export function ppoTask({ temperature, cliprange, cliprange_value, vf_coef }: PpoSettings): Task {
  return {
    kind: "ppo",
    head: { kind: "causal-lm", value_head: true },
    tokensNeeded: (batch) => bucketSize(batch.input_ids.length),
    count: countTargets,
    hasLoss: () => false,
    record: ({ graph, config, parameters, hidden, tokens, purpose, adapter }) => {
      const targets = graph.input("targets", [tokens], "i32");
      const { logprob, entropy } = tokenLogprobs(graph, config, parameters, hidden, { targets, temperature });
      if (!adapter) return { loss: undefined, outputs: { logprobs: logprob } };
      const value = tokenValues(graph, parameters, hidden);
      const outputs = { logprobs: logprob, entropies: entropy, values: value };
      if (purpose !== "train") return { loss: undefined, outputs };
      const ranges = { cliprange, cliprange_value };
      return { loss: ppoLoss(graph, { logprob, value }, ppoInputs(graph, tokens), ranges), outputs };
    },
    load: (plan, { targets, ppo }, weight, { purpose }) => {
      if (!targets) throw new Error("a PPO batch needs targets");
      plan.integers("targets").fill(IGNORED).set(targets);
      if (purpose !== "train") return;
      if (!ppo) throw new Error("a PPO batch to train on needs what the rollout measured");
      const put = (name: string, values: Float32Array) => plan.floats(name).fill(0).set(values);
      put("old_logprob", ppo.old_logprobs);
      put("advantage", ppo.advantages);
      put("old_value", ppo.old_values);
      put("returns", ppo.returns);
      const weights = Float32Array.from(targets, (target) => (target === IGNORED ? 0 : weight));
      put("policy_weight", weights);
      put(
        "value_weight",
        weights.map((one) => vf_coef * one),
      );
    },
    pick: ({ logprobs, entropies, values }, batch) => {
      const { length } = batch.input_ids;
      if (!logprobs) return {};
      return {
        tokens: {
          logprobs: logprobs.slice(0, length),
          ...(entropies ? { entropies: entropies.slice(0, length) } : {}),
          ...(values ? { values: values.slice(0, length) } : {}),
        },
      };
    },
  };
}
