/** What the tests of large models are about: open-calm-small's config, and the limits WebGPU grants everywhere. */

/** cyberagent/open-calm-small's config.json, as far as the engine reads it. */
export const OPEN_CALM_SMALL = {
  architectures: ["GPTNeoXForCausalLM"],
  model_type: "gpt_neox",
  vocab_size: 52_096,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 2048,
  hidden_act: "gelu",
  initializer_range: 0.02,
  layer_norm_eps: 1e-5,
  rotary_emb_base: 10_000,
  rotary_pct: 1,
  use_parallel_residual: false,
  tie_word_embeddings: false,
  bos_token_id: 0,
  eos_token_id: 0,
} as const;

/** WebGPU's default limits: what a device has that was asked for nothing. */
export const DEFAULT_LIMITS = {
  maxBufferSize: 268_435_456,
  maxStorageBufferBindingSize: 134_217_728,
  maxStorageBuffersPerShaderStage: 8,
  maxUniformBufferBindingSize: 65_536,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65_535,
} as const;

export const OPTIMIZER = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1 } as const;
