/**
 * Whole updates of PPO and DPO on a tiny model with an adapter, against PyTorch and peft
 * (workers/remote/nagi_worker/golden_rl.py): log-probabilities, values, advantages, losses, gradients, weights after AdamW.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { openSafetensors, readTensor } from "../io/safetensors";
import { MapSource } from "../io/source";
import { parseNeoxConfig } from "../model/neox-config";
import { type Completion, packCompletions, putChosen, takeChosen } from "./completions";
import { generalizedAdvantages, tokenRewards, whiten } from "./rl/advantages";
import { tokenKl } from "./rl/kl";
import { preferenceMetrics } from "./rl/preference";
import { startsOf } from "./rl/ragged";
import { updateStats } from "./rl/update-stats";
import { Trainer, type TrainerOptions } from "./trainer";

const file = (name: string) => readFileSync(new URL(`../golden/${name}`, import.meta.url));
const optimizer = z.object({
  learning_rate: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  max_grad_norm: z.number(),
});
const ids = z.array(z.array(z.int()));
const golden = z
  .object({
    config: z.unknown(),
    lora: z.object({ r: z.number(), lora_alpha: z.number(), target_modules: z.array(z.string()) }),
    ppo: z.object({
      temperature: z.number(),
      kl_coef: z.number(),
      gamma: z.number(),
      lam: z.number(),
      cliprange: z.number(),
      cliprange_value: z.number(),
      vf_coef: z.number(),
      optimizer,
      ids,
      prompts: z.array(z.int()),
      scores: z.array(z.number()),
      epochs: z.array(z.record(z.string(), z.number())),
    }),
    dpo: z.object({
      beta: z.number(),
      label_smoothing: z.number(),
      optimizer,
      ids: z.object({ chosen: ids, rejected: ids }),
      prompts: z.array(z.int()),
      steps: z.array(z.record(z.string(), z.number())),
    }),
  })
  .parse(JSON.parse(file("rl.json").toString()));
const config = parseNeoxConfig(golden.config);
const lora = { ...golden.lora, lora_dropout: 0 };

let gpu: Gpu;
const tensors = new Map<string, Float32Array>();
const trainers: Trainer[] = [];

beforeAll(async () => {
  gpu = await openDawn();
  const source = new MapSource("golden", new Map([["rl.safetensors", new Uint8Array(file("rl.safetensors"))]]));
  const header = await openSafetensors(source, "rl.safetensors");
  for (const [name, entry] of header.tensors) tensors.set(name, await readTensor(source, "rl.safetensors", entry));
});
afterAll(() => {
  for (const trainer of trainers) trainer.destroy();
  gpu.destroy();
});

/** The tensors under a prefix, without it. */
function under(prefix: string): Map<string, Float32Array> {
  const found = [...tensors].filter(([name]) => name.startsWith(prefix));
  expect(found.length, prefix).toBeGreaterThan(0);
  return new Map(found.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

async function trainer(options: Pick<TrainerOptions, "task" | "ppo" | "dpo" | "optimizer">): Promise<Trainer> {
  const made = await Trainer.create(gpu, config, under("model."), {
    ...options,
    lora,
    frozen_dtype: "f32",
    max_tokens: 120,
    max_texts: 6,
  });
  trainers.push(made);
  return made;
}

function expectClose(
  actual: ArrayLike<number> | undefined,
  expected: ArrayLike<number> | undefined,
  tolerance: number,
) {
  if (!actual || !expected) throw new Error("missing");
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
    if (!(difference <= tolerance * (1 + Math.abs(expected[i] ?? 0))))
      throw new Error(`[${i}]: ${actual[i]} instead of ${expected[i]}`);
  }
}

/** Relative L2 distance of every tensor. */
function expectNear(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
  most: number,
) {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, tensor] of expected) {
    const ours = actual.get(name);
    const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
    const distance = norm(tensor.map((value, i) => value - (ours?.[i] ?? Number.NaN))) / norm(tensor);
    if (!(distance <= most)) throw new Error(`${name}: ${distance}`);
  }
}

const completions = (rows: readonly (readonly number[])[], prompts: readonly number[]): Completion[] =>
  rows.map((row, i) => ({ ids: Int32Array.from(row), prompt_tokens: prompts[i] ?? 0 }));

describe("one PPO update", () => {
  const { optimizer: settings, epochs, ...ppo } = golden.ppo;
  const texts = completions(ppo.ids, ppo.prompts);
  const packed = packCompletions(texts);
  const starts = startsOf(texts.map(({ ids: all, prompt_tokens }) => all.length - prompt_tokens));
  const expected = (key: string) => tensors.get(`ppo.${key}`);

  it("has PyTorch's log-probabilities, values, advantages, losses, gradients and weights", async () => {
    const policy = await trainer({ task: "ppo", ppo, optimizer: settings });
    const before = (await policy.forward(packed)).tokens;
    const reference = (await policy.forward(packed, { adapter: false })).tokens;
    if (!before?.values || !before.entropies || !reference) throw new Error("no tokens");
    expect(reference.values).toBeUndefined();
    const old = {
      logprobs: takeChosen(before.logprobs, packed.targets),
      values: takeChosen(before.values, packed.targets),
    };
    const referenceLogprobs = takeChosen(reference.logprobs, packed.targets);
    expectClose(old.logprobs, expected("logprobs"), 2e-6);
    expectClose(old.values, expected("values"), 2e-6);
    expectClose(takeChosen(before.entropies, packed.targets), expected("entropies"), 2e-6);
    expectClose(referenceLogprobs, expected("reference"), 2e-6);

    const kl = tokenKl("k3", old.logprobs, referenceLogprobs);
    expectClose(kl, expected("kl"), 5e-6);
    const rewards = tokenRewards(kl, ppo.kl_coef, ppo.scores, starts);
    const { advantages, returns } = generalizedAdvantages(rewards, old.values, starts, ppo);
    const whitened = whiten(advantages);
    expectClose(returns, expected("returns"), 1e-5);
    expectClose(whitened, expected("advantages"), 1e-5);

    const put = (values: Float64Array) => putChosen(values, packed.targets);
    const batch = {
      ...packed,
      ppo: {
        old_logprobs: put(old.logprobs),
        old_values: put(old.values),
        advantages: put(whitened),
        returns: put(returns),
      },
    };
    expect(epochs.length).toBeGreaterThan(2);
    for (const [epoch, numbers] of epochs.entries()) {
      const result = await policy.step([batch], settings.learning_rate);
      const tokens = result.outputs?.[0]?.tokens;
      if (!tokens?.values || !tokens.entropies) throw new Error("no tokens");
      const stats = updateStats(
        {
          logprobs: takeChosen(tokens.logprobs, packed.targets),
          values: takeChosen(tokens.values, packed.targets),
          entropies: takeChosen(tokens.entropies, packed.targets),
          old_logprobs: old.logprobs,
          old_values: old.values,
          advantages: whitened,
          returns,
        },
        ppo,
      );
      const ours = { loss: result.loss, grad_norm: result.grad_norm, ...stats };
      expect(Object.keys(ours).sort()).toEqual(Object.keys(numbers).sort());
      for (const [key, value] of Object.entries(ours)) expectClose([value], [numbers[key] ?? Number.NaN], 3e-5);
      if (tensors.has(`ppo.grad.${epoch}.v_head.summary.bias`))
        expectNear(await policy.gradients(), under(`ppo.grad.${epoch}.`), 2e-4);
    }
    expectNear((await policy.exportState()).weights, under("ppo.after."), 2e-5);
  });

  it("is the same in two micro-batches", async () => {
    const whole = await trainer({ task: "ppo", ppo, optimizer: settings });
    const measured = new Float32Array(packed.targets.length).fill(0.5);
    const data = { old_logprobs: measured.map((value) => -6 * value), old_values: measured };
    const make = (some: readonly Completion[]) => {
      const batch = packCompletions(some);
      const { length } = batch.targets;
      const cut = (values: Float32Array) => values.slice(0, length);
      return {
        ...batch,
        ppo: {
          old_logprobs: cut(data.old_logprobs),
          old_values: cut(data.old_values),
          advantages: cut(measured),
          returns: cut(measured),
        },
      };
    };
    const one = await whole.backward([make(texts)]);
    const gradients = await whole.gradients();
    const two = await whole.backward([make(texts.slice(0, 3)), make(texts.slice(3))]);
    expectClose([two.loss, two.grad_norm], [one.loss, one.grad_norm], 1e-5);
    expect(two.outputs).toHaveLength(2);
    expectNear(await whole.gradients(), gradients, 2e-5);
  });
});

describe("two DPO steps", () => {
  const { optimizer: settings, steps, prompts, ids: rows, ...dpo } = golden.dpo;
  const pairs = [...completions(rows.chosen, prompts), ...completions(rows.rejected, prompts)];
  const packed = packCompletions(pairs);

  it("have TRL's log-probabilities, loss, metrics and gradients", async () => {
    const policy = await trainer({ task: "dpo", dpo, optimizer: settings });
    const reference = (await policy.forward(packed, { adapter: false })).logps;
    if (!reference) throw new Error("no log-probabilities");
    const half = reference.length / 2;
    const sides = (logps: Float32Array) => ({ chosen: logps.slice(0, half), rejected: logps.slice(half) });
    expectClose(sides(reference).chosen, tensors.get("dpo.reference_chosen"), 2e-6);
    expectClose(sides(reference).rejected, tensors.get("dpo.reference_rejected"), 2e-6);
    const batch = { ...packed, reference_logps: reference };
    expect(steps.length).toBe(2);
    for (const [step, numbers] of steps.entries()) {
      const result = await policy.step([batch], settings.learning_rate);
      const logps = result.outputs?.[0]?.logps;
      if (!logps) throw new Error("no log-probabilities");
      const { chosen: reference_chosen, rejected: reference_rejected } = sides(reference);
      const metrics = preferenceMetrics({ ...sides(logps), reference_chosen, reference_rejected }, dpo);
      const ours = { ...metrics, loss: result.loss, grad_norm: result.grad_norm };
      expectClose([metrics.loss ?? Number.NaN], [result.loss], 1e-5);
      expect(Object.keys(ours).sort()).toEqual(Object.keys(numbers).sort());
      for (const [key, value] of Object.entries(ours)) expectClose([value], [numbers[key] ?? Number.NaN], 1e-5);
      if (step === 0) expectNear(await policy.gradients(), under("dpo.grad."), 1e-4);
    }
    expectNear((await policy.exportState()).weights, under("dpo.after."), 2e-5);
  });

  it("do not see pairs that are not there", async () => {
    const policy = await trainer({ task: "dpo", dpo, optimizer: settings });
    const two = [pairs[0], pairs[1], pairs[3], pairs[4]].filter((text) => text !== undefined);
    const part = packCompletions(two);
    const [all, some] = [(await policy.forward(packed)).logps, (await policy.forward(part)).logps];
    expectClose(
      some,
      [all?.[0], all?.[1], all?.[3], all?.[4]].map((value) => value ?? Number.NaN),
      1e-6,
    );
    const reference_logps = new Float32Array(4).fill(-20);
    const once = await policy.backward([{ ...part, reference_logps }]);
    const gradients = await policy.gradients();
    // As micro-batches of one pair each.
    const single = (index: number) => ({
      ...packCompletions([two[index], two[index + 2]].filter((text) => text !== undefined)),
      reference_logps: reference_logps.slice(0, 2),
    });
    const parts = await policy.backward([single(0), single(1)]);
    expectClose([parts.loss, parts.grad_norm], [once.loss, once.grad_norm], 1e-5);
    expectNear(await policy.gradients(), gradients, 2e-5);
    await expect(policy.backward([part])).rejects.toThrow("the reference's log-probability");
  });
});
