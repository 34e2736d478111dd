/** Names and shapes of a checkpoint's tensors, as transformers writes them. */

import type { NeoxConfig } from "./neox-config";

/** What sits on the trunk: next-token logits (with TRL's value head beside them), or `num_labels` scores of the last token. */
export type HeadSpec =
  | { readonly kind: "causal-lm"; readonly value_head?: boolean }
  | { readonly kind: "reward"; readonly num_labels: number };

export const EMBEDDING = "gpt_neox.embed_in.weight";
export const OUTPUT_EMBEDDING = "embed_out.weight";
export const SCORE = "score.weight";
export const VALUE_WEIGHT = "v_head.summary.weight";
export const VALUE_BIAS = "v_head.summary.bias";

export const isValueHead = (name: string): boolean => name === VALUE_WEIGHT || name === VALUE_BIAS;

/** Whether a parameter belongs to a head that is trained with every adapter, and is never adapted itself. */
export const isTrainedHead = (name: string): boolean => name === SCORE || isValueHead(name);

/** A value head that says 0 of every state: as good a guess as any before the first reward, and no noise in advantages. */
export const freshValueHead = ({ hidden_size }: NeoxConfig): Map<string, Float32Array> =>
  new Map([
    [VALUE_WEIGHT, new Float32Array(hidden_size)],
    [VALUE_BIAS, new Float32Array(1)],
  ]);

/** Prefix of the tensors of one layer. */
export const layerPrefix = (layer: number): string => `gpt_neox.layers.${layer}.`;

/**
 * Every parameter of the model, in the order of the forward pass: name -> shape.
 * Tied embeddings have one entry, the input embedding.
 */
export function neoxParameterShapes(config: NeoxConfig, head: HeadSpec): Map<string, readonly number[]> {
  const { hidden_size: H, intermediate_size: I, vocab_size: V } = config;
  const shapes = new Map<string, readonly number[]>([[EMBEDDING, [V, H]]]);
  const norm = (name: string) => shapes.set(`${name}.weight`, [H]).set(`${name}.bias`, [H]);
  const linear = (name: string, outputs: number, inputs: number, bias: boolean) => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = layerPrefix(layer);
    norm(`${prefix}input_layernorm`);
    linear(`${prefix}attention.query_key_value`, 3 * H, H, config.attention_bias);
    linear(`${prefix}attention.dense`, H, H, config.attention_bias);
    norm(`${prefix}post_attention_layernorm`);
    linear(`${prefix}mlp.dense_h_to_4h`, I, H, true);
    linear(`${prefix}mlp.dense_4h_to_h`, H, I, true);
  }
  norm("gpt_neox.final_layer_norm");
  if (head.kind === "reward") shapes.set(SCORE, [head.num_labels, H]);
  else if (!config.tie_word_embeddings) shapes.set(OUTPUT_EMBEDDING, [V, H]);
  if (head.kind === "causal-lm" && head.value_head) shapes.set(VALUE_WEIGHT, [1, H]).set(VALUE_BIAS, [1]);
  return shapes;
}

/** Number of parameters. */
export function countParameters(shapes: ReadonlyMap<string, readonly number[]>): number {
  let count = 0;
  for (const shape of shapes.values()) count += shape.reduce((product, size) => product * size, 1);
  return count;
}

/**
 * Fresh weights as transformers draws them: normal(0, initializer_range), biases 0, layer norms 1.
 * @param normal standard normal numbers, from a seeded generator.
 */
export function drawParameters(
  shapes: ReadonlyMap<string, readonly number[]>,
  initializer_range: number,
  normal: () => number,
): Map<string, Float32Array> {
  const tensors = new Map<string, Float32Array>();
  for (const [name, shape] of shapes) {
    const tensor = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (name.endsWith("norm.weight")) tensor.fill(1);
    else if (!name.endsWith(".bias")) for (let i = 0; i < tensor.length; i++) tensor[i] = initializer_range * normal();
    tensors.set(name, tensor);
  }
  return tensors;
}
