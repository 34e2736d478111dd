/**
 * Names of GPT-NeoX parameters. Inside the engine they are those of today's transformers
 * (`gpt_neox.layers.0.attention.dense.weight`, `embed_out.weight`, `score.weight`); older or bare checkpoints differ.
 */

/** Buffers that old transformers versions stored beside the weights; all of them follow from the config. */
const BUFFER = /(^|\.)(attention\.bias|attention\.masked_bias|rotary_emb\.inv_freq)$/;

export function isBuffer(name: string): boolean {
  return BUFFER.test(name);
}

/**
 * The engine's name for each tensor on disk. A checkpoint of the bare GPTNeoXModel has no `gpt_neox.` prefix, and some
 * exporters call the output matrix `lm_head`.
 */
export function engineNames(onDisk: Iterable<string>): Map<string, string> {
  const names = [...onDisk].filter((name) => !isBuffer(name));
  const bare = !names.some((name) => name.startsWith("gpt_neox.")) && names.includes("embed_in.weight");
  const result = new Map<string, string>();
  for (const name of names) {
    if (name === "lm_head.weight" && !names.includes("embed_out.weight")) result.set(name, "embed_out.weight");
    else if (bare && /^(embed_in|layers|final_layer_norm)\./.test(name)) result.set(name, `gpt_neox.${name}`);
    else result.set(name, name);
  }
  return result;
}
