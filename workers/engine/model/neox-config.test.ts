import { describe, expect, it } from "vitest";
import { parseNeoxConfig } from "./neox-config";
import { countParameters, drawParameters, neoxParameterShapes } from "./shapes";

const small = {
  model_type: "gpt_neox",
  vocab_size: 61,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 40,
};
const withField = (field: string, value: unknown) => ({ ...small, [field]: value });

/** The six sizes of open-calm as published: layers, hidden size, heads, vocabulary, and the parameters that follow. */
const OPEN_CALM = [
  ["small", 12, 768, 12, 52_096, 165_075_456],
  ["medium", 24, 1024, 16, 52_096, 409_004_032],
  ["large", 24, 1536, 16, 52_096, 839_998_464],
  ["1b", 24, 2048, 16, 52_096, 1_421_987_840],
  ["3b", 32, 2560, 32, 52_224, 2_785_039_360],
  ["7b", 32, 4096, 32, 52_224, 6_871_982_080],
] as const;

describe("the six open-calm configs", () => {
  it.each(OPEN_CALM)("%s", (name, layers, hidden, heads, vocabulary, parameters) => {
    // The fields of cyberagent/open-calm-*/config.json, all of them.
    const config = parseNeoxConfig({
      _name_or_path: `open-calm-${name}`,
      architectures: ["GPTNeoXForCausalLM"],
      bos_token_id: 0,
      eos_token_id: 0,
      hidden_act: "gelu",
      hidden_size: hidden,
      initializer_range: 0.02,
      intermediate_size: 4 * hidden,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 2048,
      model_type: "gpt_neox",
      num_attention_heads: heads,
      num_hidden_layers: layers,
      rotary_emb_base: 10_000,
      rotary_pct: 1,
      tie_word_embeddings: false,
      torch_dtype: "float16",
      transformers_version: "4.27.0.dev0",
      use_cache: true,
      use_parallel_residual: false,
      vocab_size: vocabulary,
    });
    expect(config).toMatchObject({
      activation: "gelu",
      attention_bias: true,
      head_dim: hidden / heads,
      rope_theta: 10_000,
      rotary_exponent_dim: hidden / heads,
      tie_word_embeddings: false,
      use_parallel_residual: false,
    });
    expect(countParameters(neoxParameterShapes(config, { kind: "causal-lm" }))).toBe(parameters);
  });
});

describe("config.json", () => {
  it("fills in transformers' defaults", () => {
    expect(parseNeoxConfig(small)).toMatchObject({
      hidden_act: "gelu",
      activation: "gelu",
      layer_norm_eps: 1e-5,
      use_parallel_residual: true,
      attention_bias: true,
      tie_word_embeddings: false,
      head_dim: 8,
      rope_theta: 10_000,
      rotary_exponent_dim: 2,
      pad_token_id: null,
    });
  });

  it("reads old and new names of the rotary fields", () => {
    const rotary = (fields: object) => {
      const { rope_theta, rotary_exponent_dim } = parseNeoxConfig({ ...small, ...fields });
      return [rope_theta, rotary_exponent_dim];
    };
    expect(rotary({ rotary_pct: 1, rotary_emb_base: 500 })).toEqual([500, 8]);
    expect(rotary({ rotary_pct: 0.5, rope_theta: 700 })).toEqual([700, 4]);
    expect(rotary({ rope_parameters: { rope_type: "default", rope_theta: 900, partial_rotary_factor: 0.75 } })).toEqual(
      [900, 6],
    );
    expect(rotary({ rope_parameters: { rope_theta: 900 }, rotary_pct: 1 })).toEqual([900, 8]);
    expect(rotary({ rope_scaling: null, rotary_pct: 0.1 })).toEqual([10_000, 0]);
    // An odd number of dims is made even by the kernel; the exponents keep the odd one.
    expect(rotary({ rotary_pct: 0.4 })).toEqual([10_000, 3]);
  });

  it("reads the bundled and OpenCALM's kind of config", () => {
    const opencalm = {
      architectures: ["GPTNeoXForCausalLM"],
      model_type: "gpt_neox",
      bos_token_id: 0,
      eos_token_id: 0,
      hidden_act: "gelu",
      hidden_size: 768,
      initializer_range: 0.02,
      intermediate_size: 3072,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 2048,
      num_attention_heads: 12,
      num_hidden_layers: 12,
      rotary_emb_base: 10_000,
      rotary_pct: 1,
      tie_word_embeddings: false,
      use_parallel_residual: false,
      vocab_size: 52_096,
    };
    const config = parseNeoxConfig(opencalm);
    expect(config).toMatchObject({
      head_dim: 64,
      rotary_exponent_dim: 64,
      use_parallel_residual: false,
      eos_token_id: 0,
    });
    // open-calm-small: 160 M parameters.
    expect(countParameters(neoxParameterShapes(config, { kind: "causal-lm" }))).toBe(165_075_456);
    expect(parseNeoxConfig({ ...opencalm, num_labels: 1, eos_token_id: [3, 4] })).toMatchObject({
      num_labels: 1,
      eos_token_id: 3,
    });
    expect(parseNeoxConfig({ ...opencalm, id2label: { 0: "a", 1: "b" } }).num_labels).toBe(2);
  });

  it.each([
    ["a list", [], "model.bad_config", "(top level)"],
    ["a missing size", { ...small, hidden_size: undefined }, "model.bad_config", "hidden_size"],
    ["a size that is text", withField("vocab_size", "61"), "model.bad_config", "vocab_size"],
    ["a size of zero", withField("num_hidden_layers", 0), "model.bad_config", "num_hidden_layers"],
    ["heads that do not divide", withField("num_attention_heads", 5), "model.bad_config", "num_attention_heads"],
    [
      "heads that are too wide",
      { ...small, hidden_size: 387, rotary_pct: 0.5 },
      "model.bad_config",
      "num_attention_heads",
    ],
    ["an unknown activation", withField("hidden_act", "swiglu"), "model.bad_config", "hidden_act"],
    ["rope scaling", withField("rope_scaling", { type: "linear", factor: 2 }), "model.bad_config", "rope_scaling"],
    ["yarn", withField("rope_parameters", { rope_type: "yarn" }), "model.bad_config", "rope_parameters"],
    ["a share above one", withField("rotary_pct", 1.5), "model.bad_config", "rotary_pct"],
    ["full rotation of odd heads", { ...small, hidden_size: 15, rotary_pct: 1 }, "model.bad_config", "rotary_pct"],
    ["a flag that is text", withField("use_parallel_residual", "yes"), "model.bad_config", "use_parallel_residual"],
    ["a negative eps", withField("layer_norm_eps", -1), "model.bad_config", "layer_norm_eps"],
  ])("refuses %s and names the field", (_, json, code, field) => {
    expect(() => parseNeoxConfig(json, "config.json")).toThrow(
      expect.objectContaining({ code, details: expect.objectContaining({ file: "config.json", field }) }),
    );
  });

  it.each([
    [{ ...small, model_type: "llama" }, "llama"],
    [{ ...small, model_type: "gpt_neox_japanese" }, "gpt_neox_japanese"],
    [{ ...small, model_type: undefined, architectures: ["LlamaForCausalLM"] }, "LlamaForCausalLM"],
    [{ hidden_size: 8 }, "nothing"],
  ])("refuses other architectures", (json, architecture) => {
    expect(() => parseNeoxConfig(json)).toThrow(
      expect.objectContaining({ code: "model.unknown_architecture", details: { file: "config.json", architecture } }),
    );
  });
});

describe("parameters", () => {
  it("have transformers' names", () => {
    const names = (fields: object, head: Parameters<typeof neoxParameterShapes>[1]) => [
      ...neoxParameterShapes(parseNeoxConfig({ ...small, num_hidden_layers: 1, ...fields }), head).keys(),
    ];
    expect(names({}, { kind: "causal-lm" })).toEqual([
      "gpt_neox.embed_in.weight",
      "gpt_neox.layers.0.input_layernorm.weight",
      "gpt_neox.layers.0.input_layernorm.bias",
      "gpt_neox.layers.0.attention.query_key_value.weight",
      "gpt_neox.layers.0.attention.query_key_value.bias",
      "gpt_neox.layers.0.attention.dense.weight",
      "gpt_neox.layers.0.attention.dense.bias",
      "gpt_neox.layers.0.post_attention_layernorm.weight",
      "gpt_neox.layers.0.post_attention_layernorm.bias",
      "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
      "gpt_neox.layers.0.mlp.dense_h_to_4h.bias",
      "gpt_neox.layers.0.mlp.dense_4h_to_h.weight",
      "gpt_neox.layers.0.mlp.dense_4h_to_h.bias",
      "gpt_neox.final_layer_norm.weight",
      "gpt_neox.final_layer_norm.bias",
      "embed_out.weight",
    ]);
    const bare = names({ attention_bias: false, tie_word_embeddings: true }, { kind: "causal-lm" });
    expect(bare).not.toContain("embed_out.weight");
    expect(bare).not.toContain("gpt_neox.layers.0.attention.dense.bias");
    expect(bare).toContain("gpt_neox.layers.0.mlp.dense_4h_to_h.bias");
    const reward = neoxParameterShapes(parseNeoxConfig(small), { kind: "reward", num_labels: 2 });
    expect(reward.get("score.weight")).toEqual([2, 24]);
    expect(reward.has("embed_out.weight")).toBe(false);
  });

  it("are drawn as transformers draws them", () => {
    let calls = 0;
    const shapes = neoxParameterShapes(parseNeoxConfig(small), { kind: "causal-lm" });
    const drawn = drawParameters(shapes, 0.02, () => (calls++ % 2 === 0 ? 1 : -1));
    expect([...drawn.keys()]).toEqual([...shapes.keys()]);
    expect(drawn.get("gpt_neox.final_layer_norm.weight")?.every((value) => value === 1)).toBe(true);
    expect(drawn.get("gpt_neox.layers.0.attention.dense.bias")?.every((value) => value === 0)).toBe(true);
    expect([...(drawn.get("embed_out.weight") ?? [])].slice(0, 2).map((value) => value.toFixed(3))).toEqual([
      "0.020",
      "-0.020",
    ]);
    expect(calls).toBeGreaterThan(2 * 61 * 24);
  });
});
