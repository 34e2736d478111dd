/** Recomputation on the GPU: whatever is computed again, the gradients keep their bits and the activations shrink. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { ParameterStore } from "../model/params";
import { gelu } from "../ops/activations";
import { add } from "../ops/add";
import { layerNorm } from "../ops/layer-norm";
import { linear } from "../ops/linear";
import { binaryLoss } from "../ops/losses";
import { Arena } from "./arena";
import { compilePlan } from "./execute";
import { Graph, output, type Tensor } from "./record";
import type { Recompute } from "./steps";

const [R, H, I, BLOCKS] = [37, 12, 52, 3];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

/** Blocks of layer norm and MLP with residuals, each a segment, under one score a row. */
function record(graph: Graph, parameter: (name: string) => Tensor): Tensor {
  const block = (index: number, x: Tensor): Tensor => {
    const [weight, bias] = [parameter(`${index} norm`), parameter(`${index} bias`)];
    const normed = output(graph.apply(layerNorm, { x, weight, bias }, { eps: 1e-5 }), "y");
    const wide = output(graph.apply(linear, { x: normed, weight: parameter(`${index} up`) }), "y");
    const active = output(graph.apply(gelu, { x: wide }), "y");
    const mlp = output(graph.apply(linear, { x: active, weight: parameter(`${index} down`) }), "y");
    return output(graph.apply(add, { a: mlp, b: x }), "y");
  };
  let hidden = output(graph.apply(linear, { x: graph.input("x", [R, H], "f32"), weight: parameter("in") }), "y");
  for (let index = 0; index < BLOCKS; index++) {
    const x = hidden;
    hidden = graph.segment(() => block(index, x));
  }
  const scores = output(graph.apply(linear, { x: hidden, weight: parameter("head") }), "y");
  const labels = graph.input("labels", [R], "i32");
  const weight = graph.input("weight", [R], "f32");
  return output(graph.apply(binaryLoss, { scores, labels, weight }), "loss");
}

function shapes(): Map<string, readonly number[]> {
  const all = new Map<string, readonly number[]>([["in", [H, H]]]);
  for (let index = 0; index < BLOCKS; index++)
    all.set(`${index} norm`, [H]).set(`${index} bias`, [H]).set(`${index} up`, [I, H]).set(`${index} down`, [H, I]);
  return all.set("head", [1, H]);
}

async function run(recompute: Recompute) {
  const random = Random.seeded(2);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const specs = [...shapes()].map(([name, shape]) => ({ name, shape, trainable: true }));
  const store = ParameterStore.create(gpu, specs);
  const tensors = new Map(specs.map(({ name, shape }) => [name, numbers(shape.reduce((a, b) => a * b, 1))]));
  await store.load("weights", tensors, "test");
  const graph = new Graph();
  const loss = record(graph, (name) => graph.parameter(name, store.shape(name), { trainable: true }));
  const arena = new Arena(gpu);
  const plan = await compilePlan(gpu, graph, {
    label: recompute,
    loss,
    outputs: [loss],
    parameters: store,
    arena,
    recompute,
  });
  plan.floats("x").set(numbers(R * H));
  plan.integers("labels").forEach((_, row, labels) => {
    labels[row] = row % 2;
  });
  plan.floats("weight").fill(1 / R);
  plan.run();
  const gradients = await store.read("gradients");
  const { dispatches } = plan.writing;
  const [value] = new Float32Array(await gpu.read(plan.writing.output(loss)));
  const bytes = arena.bytes;
  arena.destroy();
  store.destroy();
  return { gradients, value, bytes, dispatches: dispatches.length };
}

it("computes again what it did not keep, with the same bits", async () => {
  const kept = await run("nothing");
  const quick = await run("quick");
  const segments = await run("segments");
  for (const { gradients, value } of [quick, segments]) {
    expect(value).toBe(kept.value);
    expect(gradients).toEqual(kept.gradients);
  }
  expect([...kept.gradients.values()].every((tensor) => tensor.every((one) => Number.isFinite(one)))).toBe(true);
  // Layer norm and GELU of all blocks but the last; there also the matrix product between them.
  expect(quick.dispatches).toBe(kept.dispatches + 2 * (BLOCKS - 1));
  expect(segments.dispatches).toBe(kept.dispatches + 3 * (BLOCKS - 1));
  expect(quick.bytes).toBeLessThan(kept.bytes);
  expect(segments.bytes).toBeLessThan(quick.bytes);
});
