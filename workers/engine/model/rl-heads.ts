/** What PPO and DPO read off the trunk: log-probabilities of chosen tokens, values, and their losses. */

import { dpoLoss, sumTexts } from "../ops/dpo-loss";
import { linearBias } from "../ops/linear";
import { addLosses, ppoPolicyLoss, ppoValueLoss } from "../ops/ppo-losses";
import { tokenLogprob, tokenLogprobLora } from "../ops/token-logprob";
import { type Graph, output, type Tensor } from "../plan/record";
import { outputEmbedding } from "./heads";
import { OUTPUT_MODULE } from "./lora";
import type { Parameters } from "./neox";
import type { NeoxConfig } from "./neox-config";
import { VALUE_BIAS, VALUE_WEIGHT } from "./shapes";

/** Of each token of a stream [R]: log-probability of its target under softmax(logits / temperature), and the entropy. */
export interface TokenLogprobs {
  readonly logprob: Tensor;
  readonly entropy: Tensor;
}

/** @param targets i32 [R]: the next token of the text, negative where it was not chosen by the policy (both are 0 there). */
export function tokenLogprobs(
  graph: Graph,
  config: NeoxConfig,
  parameters: Parameters,
  hidden: Tensor,
  { targets, temperature }: { readonly targets: Tensor; readonly temperature: number },
): TokenLogprobs {
  const weight = outputEmbedding(config, parameters);
  const side = parameters.side(OUTPUT_MODULE, hidden);
  const inputs = { h: hidden, weight, ...side, targets };
  const outputs = graph.apply(side ? tokenLogprobLora : tokenLogprob, inputs, { temperature });
  return { logprob: output(outputs, "logprob"), entropy: output(outputs, "entropy") };
}

/** Values [R, 1] of the states [R, H] by TRL's value head. */
export function tokenValues(graph: Graph, parameters: Parameters, hidden: Tensor): Tensor {
  const inputs = { x: hidden, weight: parameters.get(VALUE_WEIGHT), bias: parameters.get(VALUE_BIAS) };
  return output(graph.apply(linearBias, inputs), "y");
}

export interface PpoInputs {
  /** f32 [R] each: what the rollout measured at every token. */
  readonly old_logprob: Tensor;
  readonly advantage: Tensor;
  readonly old_value: Tensor;
  readonly returns: Tensor;
  /** 1 / tokens of the optimizer step, 0 for tokens that do not count; of the value loss: times vf_coef. */
  readonly policy_weight: Tensor;
  readonly value_weight: Tensor;
}

/** Records the inputs of PPO's losses for a stream of R tokens. */
export function ppoInputs(graph: Graph, R: number): PpoInputs {
  const floats = (name: string) => graph.input(name, [R], "f32");
  return {
    old_logprob: floats("old_logprob"),
    advantage: floats("advantage"),
    old_value: floats("old_value"),
    returns: floats("returns"),
    policy_weight: floats("policy_weight"),
    value_weight: floats("value_weight"),
  };
}

/** loss [1]: clipped policy loss + vf_coef * clipped value loss, summed with the weights. */
export function ppoLoss(
  graph: Graph,
  tokens: { readonly logprob: Tensor; readonly value: Tensor },
  inputs: PpoInputs,
  ranges: { readonly cliprange: number; readonly cliprange_value: number },
): Tensor {
  const { old_logprob, advantage, old_value, returns, policy_weight, value_weight } = inputs;
  const policy = graph.apply(
    ppoPolicyLoss,
    { logprob: tokens.logprob, old_logprob, advantage, weight: policy_weight },
    { cliprange: ranges.cliprange },
  );
  const value = graph.apply(
    ppoValueLoss,
    { value: tokens.value, old_value, returns, weight: value_weight },
    { cliprange_value: ranges.cliprange_value },
  );
  return output(graph.apply(addLosses, { a: output(policy, "loss"), b: output(value, "loss") }), "y");
}

export interface TextInputs {
  /** i32 [R]: the text a token belongs to, negative for filler. */
  readonly text: Tensor;
  /** i32 [B]: first token of each text, and the one after its last. */
  readonly first: Tensor;
  readonly end: Tensor;
}

/** Records where the texts of a stream are. */
export function textInputs(graph: Graph, R: number, B: number): TextInputs {
  return {
    text: graph.input("text", [R], "i32"),
    first: graph.input("first", [B], "i32"),
    end: graph.input("end", [B], "i32"),
  };
}

/** Log-probability [B] of each text's targets, from those of its tokens [R]. */
export function textLogps(graph: Graph, logprob: Tensor, texts: TextInputs): Tensor {
  return output(graph.apply(sumTexts, { x: logprob, ...texts }), "y");
}

/** loss [1] of pairs: logps and reference [2P], the first half chosen, the second rejected; weight [P]. */
export function dpoPairsLoss(
  graph: Graph,
  inputs: { readonly logps: Tensor; readonly reference: Tensor; readonly weight: Tensor },
  settings: { readonly beta: number; readonly label_smoothing: number },
): Tensor {
  return output(graph.apply(dpoLoss, { ...inputs }, { ...settings }), "loss");
}
