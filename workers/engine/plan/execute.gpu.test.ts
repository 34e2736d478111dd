/** A compiled graph against central differences of the ops' own float64 references. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { openDawn } from "../gpu/dawn";
import type { BufferSlice, Gpu } from "../gpu/gpu";
import { gelu } from "../ops/activations";
import { add } from "../ops/add";
import type { HostTensors, OpDefinition } from "../ops/define";
import { linear } from "../ops/linear";
import { binaryLoss } from "../ops/losses";
import { Arena } from "./arena";
import { compilePlan, type ParameterSlices, type Plan } from "./execute";
import { Graph, output, type Tensor } from "./record";

const R = 5;
const H = 7;
const SHAPES: Readonly<Record<string, readonly number[]>> = { w: [H, H], frozen: [H, H], head: [1, H] };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

/** One buffer a parameter. */
class Slices implements ParameterSlices {
  private readonly made = new Map<string, BufferSlice>();
  weight(name: string): BufferSlice {
    return this.get(`weight ${name}`, name);
  }
  gradient(name: string): BufferSlice {
    return this.get(`gradient ${name}`, name);
  }
  shape(name: string): readonly number[] {
    return SHAPES[name] ?? [];
  }
  private get(key: string, name: string): BufferSlice {
    const known = this.made.get(key);
    if (known) return known;
    const slice = {
      ...gpu.createBuffer(key, 256),
      size: 4 * this.shape(name).reduce((a, b) => a * b, 1),
    };
    this.made.set(key, slice);
    return slice;
  }
}

type Apply<T> = (op: OpDefinition, inputs: Record<string, T>, name: string) => T;

/** A residual, one tensor twice in one op, and one weight used twice. */
function model<T>(apply: Apply<T>, t: Readonly<Record<"x" | "labels" | "weight" | "w" | "frozen" | "head", T>>): T {
  const h = apply(linear, { x: t.x, weight: t.w }, "y");
  const a = apply(gelu, { x: apply(linear, { x: h, weight: t.frozen }, "y") }, "y");
  const b = apply(add, { a, b: h }, "y");
  const c = apply(add, { a: b, b }, "y");
  const d = apply(linear, { x: c, weight: t.w }, "y");
  const scores = apply(linear, { x: apply(add, { a: d, b }, "y"), weight: t.head }, "y");
  return apply(binaryLoss, { scores, labels: t.labels, weight: t.weight }, "loss");
}

const random = Random.seeded(11);
const numbers = (count: number) => Float64Array.from({ length: count }, () => Math.fround(random.normal() * 0.6));
const host = {
  x: numbers(R * H),
  labels: Float64Array.of(1, 0, 0, 1, 1),
  weight: Float64Array.from({ length: R }, () => 1 / R),
  w: numbers(H * H),
  frozen: numbers(H * H),
  head: numbers(H),
};

function referenceLoss(tensors: typeof host): number {
  const apply: Apply<Float64Array> = (op, inputs, name) => {
    const rows: Record<string, number> = { R, B: R, H, I: H, O: inputs.weight?.length === H ? 1 : H };
    const values: HostTensors = inputs;
    const result = op.reference(values, rows)[name];
    if (!result) throw new Error(`${op.name} has no ${name}`);
    return result;
  };
  return model(apply, tensors)[0] ?? Number.NaN;
}

function referenceGradient(name: "w" | "head"): Float64Array {
  const step = 1e-4;
  return host[name].map((_, index) => {
    const at = (shift: number) => {
      const moved = host[name].slice();
      moved[index] = (moved[index] ?? 0) + shift;
      return referenceLoss({ ...host, [name]: moved });
    };
    return (at(step) - at(-step)) / (2 * step);
  });
}

async function compiled(): Promise<{ plan: Plan; loss: Tensor; slices: Slices; arena: Arena }> {
  const graph = new Graph();
  const parameter = (name: string) => graph.parameter(name, SHAPES[name] ?? [], { trainable: name !== "frozen" });
  const loss = model<Tensor>((op, inputs, name) => output(graph.apply(op, inputs), name), {
    x: graph.input("x", [R, H], "f32"),
    labels: graph.input("labels", [R], "i32"),
    weight: graph.input("weight", [R], "f32"),
    w: parameter("w"),
    frozen: parameter("frozen"),
    head: parameter("head"),
  });
  const slices = new Slices();
  const arena = new Arena(gpu);
  for (const name of ["w", "frozen", "head"] as const) gpu.write(slices.weight(name), Float32Array.from(host[name]));
  const plan = await compilePlan(gpu, graph, { label: "test", loss, outputs: [loss], parameters: slices, arena });
  plan.floats("x").set(host.x);
  plan.integers("labels").set(host.labels);
  plan.floats("weight").set(host.weight);
  return { plan, loss, slices, arena };
}

const floats = async (slice: BufferSlice) => new Float32Array(await gpu.read(slice));

function expectClose(ours: Float32Array, expected: Float64Array, factor: number): void {
  expect(ours.length).toBe(expected.length);
  for (const [index, value] of expected.entries()) {
    const difference = Math.abs((ours[index] ?? Number.NaN) - factor * value);
    expect(difference <= 2e-6 * (1 + Math.abs(factor * value)), `${index}: ${ours[index]} for ${factor * value}`).toBe(
      true,
    );
  }
}

describe("a compiled plan", () => {
  it("computes the loss and every wanted gradient", async () => {
    const { plan, loss, slices, arena } = await compiled();
    plan.run();
    const [value = Number.NaN] = await floats(plan.writing.output(loss));
    expect(Math.abs(value - referenceLoss(host))).toBeLessThanOrEqual(1e-6);
    for (const name of ["w", "head"] as const)
      expectClose(await floats(slices.gradient(name)), referenceGradient(name), 1);
    arena.destroy();
  });

  it("writes gradients again, and adds to them in the accumulating variant", async () => {
    const { plan, slices, arena } = await compiled();
    const before = gpu.snapshot();
    const accumulating = await plan.accumulating();
    // What does not write a parameter's gradient is shared between the variants.
    expect(gpu.snapshot().bindGroups - before.bindGroups).toBeLessThan(plan.writing.dispatches.length / 2);
    plan.run();
    plan.run();
    for (let round = 2; round <= 3; round++) {
      gpu.submit(accumulating.dispatches);
      for (const name of ["w", "head"] as const)
        expectClose(await floats(slices.gradient(name)), referenceGradient(name), round);
    }
    arena.destroy();
  });

  it("creates nothing when it runs", async () => {
    const { plan, arena } = await compiled();
    plan.run();
    const before = gpu.snapshot();
    plan.run();
    const { dispatches, submits } = gpu.snapshot();
    expect(gpu.snapshot()).toEqual({ ...before, dispatches, submits: before.submits + 1 });
    expect(dispatches - before.dispatches).toBe(plan.writing.dispatches.length);
    expect(submits).toBe(before.submits + 1);
    arena.destroy();
  });

  it("refuses a parameter of another shape", async () => {
    const graph = new Graph();
    const x = graph.input("x", [R, H], "f32");
    const y = output(graph.apply(linear, { x, weight: graph.parameter("head", [2, H], { trainable: true }) }), "y");
    const arena = new Arena(gpu);
    const spec = { label: "test", outputs: [y], parameters: new Slices(), arena };
    await expect(compilePlan(gpu, graph, spec)).rejects.toMatchObject({
      code: "model.tensor_shape",
      details: { tensor: "head", expected: "2, 7", actual: "1, 7" },
    });
    arena.destroy();
  });
});
