/**
 * The one harness over the registry: every op, every case, on the adapter at hand and under every capability profile
 * that picks other kernels. See /docs/architecture.md, "Proof".
 */

import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDawn } from "../gpu/dawn";
import type { Capabilities, Gpu } from "../gpu/gpu";
import { activation } from "../kernels/activation";
import { activationBackward } from "../kernels/activation-backward";
import type { KernelDefinition } from "../kernels/define";
import { gelu, geluTanh } from "./activations";
import { type Dims, elementCount, type HostTensors, type OpCase, type OpDefinition, step } from "./define";
import { OpRunner, roundTo } from "./harness";
import { ops } from "./index";

/** Worst deviation allowed, as a share of the largest magnitude in the tensor. f32 rounding is 6e-8. */
const FORWARD_TOLERANCE = 3e-6;
const BACKWARD_TOLERANCE = 1e-5;
/** Coordinates checked one by one for each gradient where there are more, and directions through all of them. */
const COORDINATES = 12;
const DIRECTIONS = 6;
const STEP = 1e-4;

/** A small generator (mulberry32): the same numbers in every run. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function normals(count: number, random: () => number): Float64Array {
  return Float64Array.from({ length: count }, () =>
    Math.fround(Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())),
  );
}

function makeInputs(
  op: OpDefinition,
  { dims, inputs, elements }: OpCase,
  random: () => number,
): Record<string, Float64Array> {
  const given = inputs?.(dims, random) ?? {};
  return Object.fromEntries(
    Object.entries(op.inputs).map(([name, spec]) => {
      const type = elements?.[name] ?? spec.type ?? "f32";
      const values = given[name] ?? normals(elementCount(spec, dims), random);
      expect(values.length, `inputs of the case: ${name}`).toBe(elementCount(spec, dims));
      return [name, values.map((value) => roundTo(type, value))];
    }),
  );
}

function expectClose(
  actual: Float64Array | undefined,
  expected: Float64Array | undefined,
  tolerance: number,
  what: string,
): void {
  if (actual === undefined || expected === undefined) throw new Error(`${what}: missing`);
  expect(actual.length, what).toBe(expected.length);
  const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
  actual.forEach((value, i) => {
    const difference = Math.abs(value - (expected[i] ?? NaN));
    // Written so that NaN fails.
    if (!(difference <= tolerance * scale))
      throw new Error(
        `${what}[${i}]: ${value} instead of ${expected[i]} (${(difference / scale).toExponential(2)} of the largest)`,
      );
  });
}

/** Sum of d_y * y over the differentiable outputs: what the gradients are gradients of. */
function weightedSum(op: OpDefinition, outputs: HostTensors, gradients: HostTensors): number {
  let sum = 0;
  for (const [name, gradient] of Object.entries(gradients)) {
    const values = outputs[name];
    if (values === undefined) throw new Error(`reference of ${op.name} returns no "${name}"`);
    gradient.forEach((value, i) => {
      sum += value * (values[i] ?? NaN);
    });
  }
  return sum;
}

/** Directions to differentiate along: single coordinates, and random signs over all of them, which miss nothing. */
function directions(count: number, random: () => number): Float64Array[] {
  const unit = (i: number) => Float64Array.from({ length: count }, (_, j) => (i === j ? 1 : 0));
  if (count <= COORDINATES) return Array.from({ length: count }, (_, i) => unit(i));
  const coordinates = Array.from({ length: COORDINATES }, () => unit(Math.floor(random() * count)));
  const signs = () => Float64Array.from({ length: count }, () => (random() < 0.5 ? -1 : 1) / Math.sqrt(count));
  return [...coordinates, ...Array.from({ length: DIRECTIONS }, signs)];
}

/** Central difference of the reference along one unit direction of one input. */
function numericSlope(
  op: OpDefinition,
  dims: Dims,
  inputs: Readonly<Record<string, Float64Array>>,
  name: string,
  direction: Float64Array,
  gradients: HostTensors,
): number {
  const origin = inputs[name] ?? new Float64Array(0);
  const largest = direction.reduce(
    (max, value, i) => (value === 0 ? max : Math.max(max, Math.abs(origin[i] ?? NaN))),
    1,
  );
  const h = STEP * largest;
  const at = (distance: number) => {
    const moved = origin.map((value, i) => value + distance * (direction[i] ?? NaN));
    return weightedSum(op, op.reference({ ...inputs, [name]: moved }, dims), gradients);
  };
  return (at(h) - at(-h)) / (2 * h);
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0);

async function checkCase(gpu: Gpu, capabilities: Capabilities, op: OpDefinition, testCase: OpCase): Promise<void> {
  const { dims, elements = {} } = testCase;
  const random = generator(JSON.stringify([op.name, dims]).length * 7919 + Object.keys(dims).length);
  const inputs = makeInputs(op, testCase, random);
  const runner = new OpRunner(gpu, op, dims, capabilities, elements);
  try {
    const expected = op.reference(inputs, dims);
    const forward = await runner.forward(inputs);
    for (const name of Object.keys(op.outputs))
      if (name in expected) expectClose(forward.values[name], expected[name], FORWARD_TOLERANCE, `${op.name}.${name}`);
      else if (!op.saved.includes(name)) throw new Error(`reference of ${op.name} returns no "${name}"`);
    for (const [name, spec] of Object.entries(op.inputs)) {
      const changed = op.updates.includes(name) ? expected[name] : inputs[name];
      const what = `${op.name}: input ${name} after forward`;
      if (changed === undefined) throw new Error(`reference of ${op.name} returns no "${name}"`);
      if (op.updates.includes(name) && (spec.type ?? "f32") === "f32")
        expectClose(forward.values[name], changed, FORWARD_TOLERANCE, what);
      else expect(forward.values[name], what).toEqual(changed);
    }
    expect((await runner.forward(inputs)).words, `${op.name}: second forward`).toEqual(forward.words);
    if (op.backward.length === 0) return;

    const outputs = Object.entries(op.outputs).filter(
      ([name, spec]) => !op.saved.includes(name) && (spec.differentiable ?? true),
    );
    const gradients = Object.fromEntries(
      outputs.map(([name, spec]) => [name, normals(elementCount(spec, dims), random)]),
    );
    const backward = await runner.backward(gradients, null);
    for (const name of [...Object.keys(op.inputs), ...Object.keys(op.outputs)])
      expect(backward.words[name], `${op.name}: ${name} after backward`).toEqual(forward.words[name]);
    expect((await runner.backward(gradients, null)).words, `${op.name}: second backward`).toEqual(backward.words);
    const wanted = runner.differentiableInputs();
    for (const name of wanted) {
      const actual = backward.values[`d_${name}`] ?? new Float64Array(0);
      expect(actual.every(Number.isFinite), `${op.name}.d_${name} is finite`).toBe(true);
      const along = directions(actual.length, random);
      const numeric = along.map((direction) => numericSlope(op, dims, inputs, name, direction, gradients));
      const slopes = along.map((direction) => dot(actual, direction));
      expectClose(Float64Array.from(slopes), Float64Array.from(numeric), BACKWARD_TOLERANCE, `${op.name}.d_${name}`);
    }
    const prior = Object.fromEntries(wanted.map((name) => [name, normals(inputs[name]?.length ?? 0, random)]));
    const added = await runner.backward(gradients, prior);
    for (const name of wanted) {
      const sum = backward.values[`d_${name}`]?.map((value, i) => value + (prior[name]?.[i] ?? NaN));
      expectClose(added.values[`d_${name}`], sum, 1e-6, `${op.name}.d_${name} accumulated`);
    }
  } finally {
    runner.destroy();
  }
}

/** The adapter as it is, and as if it were a GPU proper, or had no optional features. */
function profiles(real: Capabilities): Record<string, Capabilities> {
  const plain = { f16: false, subgroups: false, subgroupSize: 0 };
  return {
    adapter: real,
    gpu: { ...real, cpu: false },
    plain: { ...real, ...plain },
    "plain gpu": { ...real, ...plain, cpu: false },
  };
}

const describeDims = (dims: Dims) =>
  Object.entries(dims)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

let gpu: Gpu;
const exercised = new Set<string>();
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

for (const op of ops)
  describe(op.name, () => {
    for (const testCase of op.cases) {
      const stored = Object.entries(testCase.elements ?? {}).map(([name, type]) => `, ${name} in ${type}`);
      test(`${describeDims(testCase.dims)}${stored.join("")}`, async () => {
        const seen = new Set<string>();
        for (const [profile, capabilities] of Object.entries(profiles(gpu.capabilities))) {
          const runner = new OpRunner(gpu, op, testCase.dims, capabilities, testCase.elements ?? {});
          const { names, signature } = runner.choices();
          runner.destroy();
          if (seen.has(signature)) continue;
          seen.add(signature);
          for (const name of names) exercised.add(name);
          const needsF16 = signature.includes('"f16"');
          const check = checkCase(gpu, capabilities, op, testCase);
          // An adapter without f16 must refuse such a kernel, never compute with it.
          if (needsF16 && !gpu.capabilities.f16) await expect(check, profile).rejects.toThrow("shader-f16");
          else await check;
        }
      });
    }

    test("has a case whose dims are above 1, all different and no multiples of a tile", () => {
      const named = new Set(
        Object.values(op.inputs).flatMap((spec) => spec.dims.filter((size) => typeof size === "string")),
      );
      const good = op.cases.filter(({ dims }) => {
        const sizes = [...named].map((name) => dims[name] ?? NaN);
        return sizes.every((size) => size > 1 && size % 4 !== 0) && new Set(sizes).size === sizes.length;
      });
      expect(good.length).toBeGreaterThan(0);
    });
  });

describe("kernels", () => {
  const folder = new URL("../kernels/", import.meta.url);
  const modules = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
  const opSources = readdirSync(new URL("./", import.meta.url))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => readFileSync(new URL(name, import.meta.url), "utf8"));

  test("every kernel that an op imports was run by some case", async () => {
    expect(exercised.size, "run the whole file").toBeGreaterThan(0);
    const missing: string[] = [];
    const check = (kernel: KernelDefinition) => {
      const possible = kernel.requires.every((feature) =>
        feature === "subgroups" ? gpu.capabilities.subgroups : gpu.capabilities.f16,
      );
      if (possible && !exercised.has(kernel.name)) missing.push(kernel.name);
    };
    for (const name of modules) {
      if (!opSources.some((source) => source.includes(`/kernels/${name.replace(/\.ts$/, "")}"`))) continue;
      for (const value of Object.values(await import(new URL(name, folder).href)))
        for (const kernel of kernelsIn(value)) check(kernel);
    }
    expect(missing).toEqual([]);
  });
});

/** Kernel definitions in an export: one itself, or the widths of a vector kernel. */
function kernelsIn(value: unknown): KernelDefinition[] {
  if (typeof value !== "object" || value === null) return [];
  const isKernel = (candidate: unknown): candidate is KernelDefinition =>
    typeof candidate === "object" && candidate !== null && "source" in candidate && "bindings" in candidate;
  return isKernel(value) ? [value] : Object.values(value).filter(isKernel);
}

describe("the harness notices", () => {
  const testCase = { dims: { R: 5, H: 7 } };
  const run = (change: Partial<OpDefinition>) => checkCase(gpu, gpu.capabilities, { ...gelu, ...change }, testCase);
  const count = (offset: number) => (dims: Dims) => elementCount({ dims: ["R", "H"] }, dims) + offset;
  const forward = (offset: number) => [step(activation.scalar, { x: "x", y: "y" }, { N: count(offset) })];

  test("nothing wrong with the op as it is", async () => {
    await run({});
  });

  test("a forward that is off by a hundredth of a percent", async () => {
    const reference: OpDefinition["reference"] = (inputs, dims) => ({
      y: (gelu.reference(inputs, dims).y ?? new Float64Array(0)).map((value) => value * 1.0001),
    });
    await expect(run({ reference })).rejects.toThrow("gelu.y");
  });

  test("state that is left as it was, or changed without saying so", async () => {
    const [append] = ops.filter(({ name }) => name === "cacheRows");
    const [appendCase] = append?.cases ?? [];
    if (!append || !appendCase) throw new Error("no op changes state");
    const check = (change: Partial<OpDefinition>) =>
      checkCase(gpu, gpu.capabilities, { ...append, ...change }, appendCase);
    await expect(check({ forward: append.forward.slice(1) })).rejects.toThrow("cacheRows: input k_cache after forward");
    await expect(check({ updates: ["k_cache"] })).rejects.toThrow("cacheRows: input v_cache after forward");
  });

  test("another op's gradient", async () => {
    await expect(run({ backward: geluTanh.backward })).rejects.toThrow("gelu.d_x");
  });

  test("a write behind the end, and an element that is never written", async () => {
    await expect(run({ forward: forward(1) })).rejects.toThrow('guard word 0 behind "y"');
    await expect(run({ forward: forward(-1) })).rejects.toThrow("gelu.y[34]: NaN");
  });

  test("a gradient that is written where it should be added", async () => {
    const overwrites = activationBackward.scalar;
    const kernel = {
      ...overwrites,
      name: "test-overwrites",
      source: overwrites.source.replace("d_x[i] += ", "d_x[i] = "),
    };
    const backward = [step(kernel, { x: "x", d_y: "d_y", d_x: "d_x" }, { N: count(0) })];
    await expect(run({ backward })).rejects.toThrow("gelu.d_x accumulated");
  });
});
