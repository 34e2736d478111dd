import { expect, it } from "vitest";
import { type TensorValues, wholeTensors } from "../io/tensors";
import type { LoraOptions } from "./lora";
import { mergeLora } from "./merge";

const lora: LoraOptions = { r: 2, lora_alpha: 6, lora_dropout: 0, target_modules: ["dense"] };
const [own, a, b] = [
  "x.dense.weight",
  "base_model.model.x.dense.lora_A.weight",
  "base_model.model.x.dense.lora_B.weight",
];
const base = new Map([
  [own, Float32Array.of(1, 2, 3, 4, 5, 6)],
  ["x.dense.bias", Float32Array.of(7, 8)],
]);
/** A [2, 3], B [2, 2]. */
const adapter = new Map([
  [a, Float32Array.of(1, 0, 2, 0, 1, -1)],
  [b, Float32Array.of(1, 2, 0.5, -1)],
]);

async function merged(...parts: Parameters<typeof mergeLora>) {
  const { tensors, untied } = mergeLora(...parts);
  return { tensors: await wholeTensors(tensors), untied };
}

it("adds lora_alpha / r * B A and keeps the rest", async () => {
  const { tensors, untied } = await merged(base, adapter, lora);
  expect([...(tensors.get(own) ?? [])]).toEqual([1 + 3, 2 + 6, 3 + 0, 4 + 1.5, 5 - 3, 6 + 6]);
  expect([...(tensors.get("x.dense.bias") ?? [])]).toEqual([7, 8]);
  expect([...tensors.keys()]).toEqual([own, "x.dense.bias"]);
  expect(untied).toBe(false);
  expect([...(base.get(own) ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
});

it("gives the same whatever pieces the base comes in", async () => {
  const whole = base.get(own) ?? new Float32Array();
  const pieces = async function* () {
    for (const [start, end] of [
      [0, 2],
      [2, 5],
      [5, 6],
    ])
      yield whole.subarray(start, end);
  };
  const { tensors } = await merged(
    new Map<string, TensorValues>([...base, [own, { length: 6, pieces }]]),
    adapter,
    lora,
  );
  expect(tensors.get(own)).toEqual((await merged(base, adapter, lora)).tensors.get(own));
});

it("divides by the root of r with rslora", async () => {
  const { tensors } = await merged(base, adapter, { ...lora, use_rslora: true });
  expect(Math.abs((tensors.get(own)?.[0] ?? Number.NaN) - (1 + 6 / Math.SQRT2))).toBeLessThanOrEqual(1e-6);
});

it("takes a trained score head over, and unties an adapted output matrix", async () => {
  const tied = new Map([["gpt_neox.embed_in.weight", Float32Array.of(1, 1, 1, 1, 1, 1)]]);
  const head = new Map([
    ["base_model.model.embed_out.lora_A.weight", Float32Array.of(1, 0, 2, 0, 1, -1)],
    ["base_model.model.embed_out.lora_B.weight", Float32Array.of(1, 2, 0.5, -1)],
    ["score.weight", Float32Array.of(9)],
  ]);
  const { tensors, untied } = await merged(tied, head, lora);
  expect(untied).toBe(true);
  expect([...(tensors.get("embed_out.weight") ?? [])]).toEqual([4, 7, 1, 2.5, -2, 7]);
  expect([...(tensors.get("gpt_neox.embed_in.weight") ?? [])]).toEqual([1, 1, 1, 1, 1, 1]);
  expect([...(tensors.get("score.weight") ?? [])]).toEqual([9]);
});

it("names what does not belong together", () => {
  const without = new Map([[a, adapter.get(a) ?? new Float32Array()]]);
  expect(() => mergeLora(base, without, lora)).toThrow(
    expect.objectContaining({ code: "model.tensor_missing", details: { file: "the adapter", tensor: b } }),
  );
  expect(() => mergeLora(new Map(), adapter, lora)).toThrow(
    expect.objectContaining({ details: { file: "the base", tensor: own } }),
  );
  expect(() => mergeLora(new Map([[own, new Float32Array(5)]]), adapter, lora)).toThrow(
    expect.objectContaining({ code: "model.tensor_shape" }),
  );
});
