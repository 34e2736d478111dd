/**
 * The graphs of generation over a KV cache. Prefill: a flat stream of prompts, whose keys and values go into the cache and
 * which computes nothing else. Decode: one token of each of B texts in, the next one out, everything it changes kept in
 * states on the GPU, so that steps follow each other without the host.
 */

import { attention } from "../ops/attention";
import { cacheRows } from "../ops/cache-rows";
import { decodeAttention } from "../ops/decode-attention";
import { sampleToken, TEXT_FIELDS } from "../ops/sample-token";
import { type Graph, output, type Tensor } from "../plan/record";
import { lmLogits } from "./heads";
import { inverseFrequencies, neoxLayers, type Parameters, splitHeads, streamInputs } from "./neox";
import type { NeoxConfig } from "./neox-config";

/** Sizes of the states. */
export interface CacheSize {
  /** Texts that are generated at a time. */
  readonly max_texts: number;
  /** Tokens of a text: rows of the cache that each text has. */
  readonly max_length: number;
}

/** The states and their bytes: `k 0`, `v 0`, ... of the layers, and what a decode step hands on to the next. */
export function stateBytes(config: NeoxConfig, { max_texts, max_length }: CacheSize): Map<string, number> {
  const states = new Map<string, number>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++)
    for (const which of ["k", "v"]) states.set(`${which} ${layer}`, 4 * max_texts * max_length * config.hidden_size);
  for (const name of ["token", "position"]) states.set(name, 4 * max_texts);
  states.set("texts", 4 * max_texts * TEXT_FIELDS);
  for (const name of ["ids", "logprobs"]) states.set(name, 4 * max_texts * max_length);
  return states;
}

/** Records one layer's keys and values on their way into the cache. */
function remember(
  graph: Graph,
  config: NeoxConfig,
  { max_texts, max_length }: CacheSize,
  layer: number,
  rows: { readonly k: Tensor; readonly v: Tensor; readonly text: Tensor; readonly position_ids: Tensor },
): { readonly k_cache: Tensor; readonly v_cache: Tensor } {
  const cache = (which: string) =>
    graph.state(`${which} ${layer}`, [max_texts * max_length, config.hidden_size], "f32");
  const caches = { k_cache: cache("k"), v_cache: cache("v") };
  graph.apply(cacheRows, { ...rows, ...caches }, { length: max_length });
  return caches;
}

/**
 * Fills the cache from a stream of R prompt tokens. Inputs: those of the stream, and `text` i32 [R], the rows' text in the
 * cache, -1 for filler. Texts begin at position 0 and are whole.
 */
export function recordPrefill(
  graph: Graph,
  config: NeoxConfig,
  parameters: Parameters,
  size: CacheSize,
  R: number,
): void {
  const inputs = streamInputs(graph, config, R);
  const { position_ids, segment_start, segment_end } = inputs;
  const text = graph.input("text", [R], "i32");
  const heads = config.num_attention_heads;
  neoxLayers(graph, config, parameters, inputs.input_ids, (layer, qkv) => {
    const { q, k, v } = splitHeads(graph, config, qkv, inputs);
    remember(graph, config, size, layer, { k, v, text, position_ids });
    return output(graph.apply(attention, { q, k, v, segment_start, segment_end }, { heads }), "y");
  });
}

/**
 * One step of B texts. States: `token` and `position`, what goes in; `texts`, `ids`, `logprobs` as sampleToken has them.
 * Inputs: `text` i32 [B] (0, 1, ..), `inv_freq`, `settings` f32 [3].
 * @param limits whether top_k or top_p may leave anything out.
 * @returns the logits [B, V], in case somebody wants to see them.
 */
export function recordDecode(
  graph: Graph,
  config: NeoxConfig,
  parameters: Parameters,
  size: CacheSize,
  B: number,
  limits: boolean,
): Tensor {
  const { max_length: length } = size;
  const heads = config.num_attention_heads;
  const text = graph.input("text", [B], "i32");
  const inv_freq = graph.input("inv_freq", [inverseFrequencies(config).length], "f32");
  const settings = graph.input("settings", [3], "f32");
  const token = graph.state("token", [B], "i32");
  const position = graph.state("position", [B], "i32");
  const hidden = neoxLayers(graph, config, parameters, token, (layer, qkv) => {
    const { q, k, v } = splitHeads(graph, config, qkv, { position_ids: position, inv_freq });
    const caches = remember(graph, config, size, layer, { k, v, text, position_ids: position });
    return output(graph.apply(decodeAttention, { q, ...caches, position }, { heads, length }), "y");
  });
  const logits = lmLogits(graph, config, parameters, hidden);
  const states = {
    texts: graph.state("texts", [B, TEXT_FIELDS], "i32"),
    token,
    position,
    ids: graph.state("ids", [B, length], "i32"),
    logprobs: graph.state("logprobs", [B, length], "f32"),
  };
  graph.apply(sampleToken, { logits, settings, ...states }, { limits: limits ? 1 : 0 });
  return logits;
}
