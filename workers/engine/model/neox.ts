/**
 * GPT-NeoX as OpenCALM uses it: the wiring of transformers' GPTNeoXModel, recorded for one flat stream of tokens. What
 * config.json may say is in neox-config.ts, the parameters' names in shapes.ts, the heads in heads.ts.
 */

import { gelu, geluTanh, relu } from "../ops/activations";
import { add } from "../ops/add";
import { attention } from "../ops/attention";
import { dropout } from "../ops/dropout";
import { embedding } from "../ops/embedding";
import { layerNorm } from "../ops/layer-norm";
import { linear, linearBias, linearBiasLora, linearLora } from "../ops/linear";
import { rope, ropeInverseFrequencies } from "../ops/rope";
import { scale } from "../ops/scale";
import { type Graph, output, type Tensor } from "../plan/record";
import { type LoraOptions, loraFactor, loraName } from "./lora";
import type { NeoxConfig } from "./neox-config";
import { EMBEDDING, layerPrefix } from "./shapes";

/** The token stream: i32 [R] each, and the rotary frequencies f32 [F]. */
export interface StreamInputs {
  readonly input_ids: Tensor;
  readonly position_ids: Tensor;
  /** Index of the first token of the text, and the index after its last one. */
  readonly segment_start: Tensor;
  readonly segment_end: Tensor;
  readonly inv_freq: Tensor;
}

/** Records the inputs of a stream of R tokens. */
export function streamInputs(graph: Graph, config: NeoxConfig, R: number): StreamInputs {
  const integers = (name: string) => graph.input(name, [R], "i32");
  return {
    input_ids: integers("input_ids"),
    position_ids: integers("position_ids"),
    segment_start: integers("segment_start"),
    segment_end: integers("segment_end"),
    inv_freq: graph.input("inv_freq", [inverseFrequencies(config).length], "f32"),
  };
}

/** Rotary frequencies of the model, the constant input `inv_freq`. */
export function inverseFrequencies(config: NeoxConfig): Float32Array {
  return ropeInverseFrequencies(config.rotary_exponent_dim, config.rope_theta);
}

/** What recording must know of the parameters; a ParameterStore says it. */
export interface ParameterInfo {
  has(name: string): boolean;
  shape(name: string): readonly number[];
  trainable(name: string): boolean;
  /** How it is stored: frozen matrices may be f16. */
  element(name: string): "f32" | "f16";
  /** Rows of each part where it is stored in parts, else undefined. */
  partRows(name: string): number | undefined;
  /** Of the adapters among the parameters, if there are any. */
  readonly lora: LoraOptions | undefined;
}

export interface RecordOptions {
  /** false: as if the model had no adapters (the reference of PPO and DPO). Default true. */
  readonly adapter?: boolean;
  /** Seed i32 [1] of the adapters' dropout: for training. Without it nothing is dropped. */
  readonly dropout?: Tensor;
}

/** Records single parameters and the small blocks that are made of them. */
export class Parameters {
  #dropouts = 0;

  constructor(
    private readonly graph: Graph,
    private readonly store: ParameterInfo,
    private readonly options: RecordOptions = {},
  ) {}

  get(name: string): Tensor {
    const { store } = this;
    if (!store.has(name)) throw new Error(`the model has no parameter ${name}`);
    const options = {
      trainable: store.trainable(name),
      element: store.element(name),
      partRows: store.partRows(name),
    };
    return this.graph.parameter(name, store.shape(name), options);
  }

  /**
   * x [R,I] -> [R,O]; with a bias where the checkpoint has one, and with its adapter.
   * @param weight where it is another parameter than the linear's own (tied embeddings).
   */
  linear(name: string, x: Tensor, weight = this.get(`${name}.weight`)): Tensor {
    const side = this.side(name, x);
    if (!this.store.has(`${name}.bias`))
      return output(this.graph.apply(side ? linearLora : linear, { x, weight, ...side }), "y");
    const inputs = { x, weight, bias: this.get(`${name}.bias`), ...side };
    return output(this.graph.apply(side ? linearBiasLora : linearBias, inputs), "y");
  }

  /** The side branch of a linear that carries an adapter: its output gains z [R,r] · lora_b [O,r], transposed. */
  side(name: string, x: Tensor): { readonly z: Tensor; readonly lora_b: Tensor } | undefined {
    const { graph, store, options } = this;
    const { lora } = store;
    const lora_a = loraName(name, "A");
    if (!lora || options.adapter === false || !store.has(lora_a)) return undefined;
    const { lora_dropout: p } = lora;
    const { dropout: seed } = options;
    const kept = seed && p > 0 ? output(graph.apply(dropout, { x, seed }, { p, salt: this.#dropouts++ }), "y") : x;
    const low = output(graph.apply(linear, { x: kept, weight: this.get(lora_a) }), "y");
    const factor = loraFactor(lora);
    const z = factor === 1 ? low : output(graph.apply(scale, { x: low }, { factor }), "y");
    return { z, lora_b: this.get(loraName(name, "B")) };
  }

  layerNorm(name: string, x: Tensor, eps: number): Tensor {
    const inputs = { x, weight: this.get(`${name}.weight`), bias: this.get(`${name}.bias`) };
    return output(this.graph.apply(layerNorm, inputs, { eps }), "y");
  }
}

/** How the tokens of a layer see each other: attended values [R,H] of qkv [R,3H]. */
export type Attend = (layer: number, qkv: Tensor) => Tensor;

/** The trunk up to and with the final layer norm, every token seeing its text up to itself: hidden states [R,H]. */
export function neoxTrunk(graph: Graph, config: NeoxConfig, parameters: Parameters, inputs: StreamInputs): Tensor {
  const { segment_start, segment_end, position_ids, inv_freq } = inputs;
  const heads = config.num_attention_heads;
  return neoxLayers(graph, config, parameters, inputs.input_ids, (_, qkv) => {
    const { q, k, v } = splitHeads(graph, config, qkv, { position_ids, inv_freq });
    return output(graph.apply(attention, { q, k, v, segment_start, segment_end }, { heads }), "y");
  });
}

/** q, k, v [R,H] of qkv [R,3H], q and k rotated by their position. */
export function splitHeads(
  graph: Graph,
  config: NeoxConfig,
  qkv: Tensor,
  { position_ids, inv_freq }: Pick<StreamInputs, "position_ids" | "inv_freq">,
): { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor } {
  const { q, k, v } = graph.apply(rope, { qkv, position_ids, inv_freq }, { heads: config.num_attention_heads });
  if (!q || !k || !v) throw new Error("rope has outputs q, k, v");
  return { q, k, v };
}

/**
 * The trunk with any kind of attention (training sees a stream of texts, generation a cache): hidden states [R,H]. Every
 * layer is a segment of the graph.
 */
export function neoxLayers(
  graph: Graph,
  config: NeoxConfig,
  parameters: Parameters,
  input_ids: Tensor,
  attend: Attend,
): Tensor {
  const eps = config.layer_norm_eps;
  const sum = (a: Tensor, b: Tensor) => output(graph.apply(add, { a, b }), "y");
  let hidden = output(graph.apply(embedding, { ids: input_ids, weight: parameters.get(EMBEDDING) }), "y");
  const record = (layer: number, hidden: Tensor): Tensor => {
    const prefix = layerPrefix(layer);
    const qkv = parameters.linear(
      `${prefix}attention.query_key_value`,
      parameters.layerNorm(`${prefix}input_layernorm`, hidden, eps),
    );
    const attended = parameters.linear(`${prefix}attention.dense`, attend(layer, qkv));
    const residual = config.use_parallel_residual ? hidden : sum(attended, hidden);
    const normed = parameters.layerNorm(`${prefix}post_attention_layernorm`, residual, eps);
    const widened = parameters.linear(`${prefix}mlp.dense_h_to_4h`, normed);
    const mlp = parameters.linear(`${prefix}mlp.dense_4h_to_h`, activate(graph, config, widened));
    return config.use_parallel_residual ? sum(sum(mlp, attended), hidden) : sum(mlp, residual);
  };
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const input = hidden;
    hidden = graph.segment(() => record(layer, input));
  }
  return parameters.layerNorm("gpt_neox.final_layer_norm", hidden, eps);
}

function activate(graph: Graph, config: NeoxConfig, x: Tensor): Tensor {
  const op = { gelu, geluTanh, relu }[config.activation];
  return output(graph.apply(op, { x }), "y");
}
