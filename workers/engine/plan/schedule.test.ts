import { describe, expect, it } from "vitest";
import { accumulate } from "../kernels/accumulate";
import { defineKernel } from "../kernels/define";
import { type Capabilities, defineOp, type OpDefinition, step } from "../ops/define";
import { Graph, output, type Tensor } from "./record";
import { type Schedule, schedule } from "./schedule";
import type { ScheduledStep } from "./steps";

const capabilities: Capabilities = {
  f16: false,
  subgroups: false,
  subgroupSize: 0,
  maxStorageBufferBindingSize: 1 << 27,
  maxComputeWorkgroupStorageSize: 16_384,
  cpu: true,
};

/** Kernels that are never run: the schedule looks only at bindings and overrides. */
const kernel = (
  name: string,
  bindings: Record<string, "read" | "read_write">,
  overrides: Record<string, number> = {},
) => defineKernel({ name, source: "", bindings, params: {}, overrides, workgroups: () => [1, 1, 1] });
const copy = kernel("copy", { x: "read", y: "read_write" }, { ACCUMULATE: 0 });
const product = kernel("product", { a: "read", b: "read", y: "read_write" }, { ACCUMULATE: 0 });
const both = kernel("both", { g: "read", u: "read_write", v: "read_write" }, { ACCUMULATE: 0 });
const stubborn = kernel("stubborn", { g: "read", u: "read_write" });
const stats = kernel("stats", { x: "read", y: "read_write", s: "read_write" });

const reference: OpDefinition["reference"] = () => ({});

/** y = weight * x with a gradient for each. */
const scale = defineOp({
  name: "scale",
  inputs: { x: { dims: ["R", "H"] }, weight: { dims: ["H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  forward: [step(product, { a: "x", b: "weight", y: "y" }, {})],
  backward: [
    step(product, { a: "d_y", b: "weight", y: "d_x" }, {}),
    step(product, { a: "d_y", b: "x", y: "d_weight" }, {}),
  ],
  reference,
  cases: [],
});
/** One kernel for two gradients. */
const sum = defineOp({
  name: "sum",
  inputs: { a: { dims: ["R", "H"] }, b: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  forward: [step(product, { a: "a", b: "b", y: "y" }, {})],
  backward: [step(both, { g: "d_y", u: "d_a", v: "d_b" }, {})],
  reference,
  cases: [],
});
const normed = defineOp({
  name: "normed",
  inputs: { x: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] }, mean: { dims: ["R"] } },
  saved: ["mean"],
  forward: [step(stats, { x: "x", y: "y", s: "mean" }, {})],
  backward: [step(product, { a: "d_y", b: "mean", y: "d_x" }, {})],
  reference,
  cases: [],
});
const total = defineOp({
  name: "total",
  inputs: { x: { dims: ["R", "H"] } },
  outputs: { loss: { dims: [1] } },
  forward: [step(copy, { x: "x", y: "loss" }, {})],
  backward: [step(copy, { x: "d_loss", y: "d_x" }, {})],
  reference,
  cases: [],
});
/** Its backward kernel cannot add. */
const fixed = defineOp({
  name: "fixed",
  inputs: { x: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  forward: [step(copy, { x: "x", y: "y" }, {})],
  backward: [step(stubborn, { g: "d_y", u: "d_x" }, {})],
  reference,
  cases: [],
});

/** Passes its gradient on unchanged, as a residual does. */
const residual = defineOp({
  name: "residual",
  inputs: { a: { dims: ["R", "H"] }, b: { dims: ["R", "H"] } },
  outputs: { y: { dims: ["R", "H"] } },
  forward: [step(product, { a: "a", b: "b", y: "y" }, {})],
  backward: [step(accumulate, { x: "d_y", y: "d_a" }, { N: 6 }), step(accumulate, { x: "d_y", y: "d_b" }, { N: 6 })],
  reference,
  cases: [],
});
const two = defineOp({
  name: "two",
  inputs: { x: { dims: ["R", "H"] } },
  outputs: { u: { dims: ["R", "H"] }, v: { dims: ["R", "H"] } },
  forward: [step(both, { g: "x", u: "u", v: "v" }, {})],
  backward: [step(product, { a: "d_u", b: "d_v", y: "d_x" }, {})],
  reference,
  cases: [],
});

/** Changes a cache in place and has no output. */
const remember = defineOp({
  name: "remember",
  inputs: { x: { dims: ["R", "H"] }, cache: { dims: ["R", "H"] } },
  outputs: {},
  updates: ["cache"],
  forward: [step(copy, { x: "x", y: "cache" }, {})],
  reference,
  cases: [],
});

const derive = (graph: Graph, loss: Tensor | undefined, outputs: Tensor[], accumulate = false): Schedule =>
  schedule(graph, { ...(loss ? { loss } : {}), outputs, accumulate, capabilities });

/** What each step writes, with "+=" where it adds. */
const writes = (steps: readonly ScheduledStep[]): string[] =>
  steps.flatMap((one) =>
    Object.values(one.bindings)
      .filter((binding) => binding.access === "read_write")
      .map((binding) => `${binding.resource.name} ${one.overrides.ACCUMULATE === 1 ? "+=" : "="}`),
  );

function inputs(): { graph: Graph; x: Tensor; w: (name: string, trainable?: boolean) => Tensor } {
  const graph = new Graph();
  const x = graph.input("x", [3, 2], "f32");
  return { graph, x, w: (name, trainable = true) => graph.parameter(name, [2], { trainable }) };
}

describe("schedule", () => {
  it("walks back and writes each gradient once before adding", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("w") }), "y");
    const b = output(graph.apply(scale, { x: a, weight: w("w") }), "y");
    const loss = output(graph.apply(total, { x: b }), "loss");
    const derived = derive(graph, loss, [loss]);
    expect(derived.forwardSteps).toBe(3);
    expect(writes(derived.steps.slice(3))).toEqual(["d scale#1.y =", "d scale#0.y =", "w =", "w +="]);
    // The input x gets no gradient, and d_loss is the constant 1.
    expect(derived.steps[3]?.bindings.x?.resource.kind).toBe("seed");
  });

  it("adds to parameter gradients from the first step on for later micro-batches, not to activations", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("w") }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(scale, { x: a, weight: w("v") }), "y") }), "loss");
    expect(writes(derive(graph, loss, [loss], true).steps.slice(3))).toEqual([
      "d scale#1.y =",
      "d scale#0.y =",
      "v +=",
      "w +=",
    ]);
  });

  it("drops gradients of frozen parameters and everything below them", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("frozen", false) }), "y");
    const b = output(graph.apply(scale, { x: a, weight: w("w") }), "y");
    const loss = output(graph.apply(total, { x: b }), "loss");
    expect(writes(derive(graph, loss, [loss]).steps.slice(3))).toEqual(["d scale#1.y =", "w ="]);
    const frozen = new Graph();
    const y = frozen.apply(scale, {
      x: frozen.input("x", [3, 2], "f32"),
      weight: frozen.parameter("w", [2], { trainable: false }),
    });
    const nothing = output(frozen.apply(total, { x: output(y, "y") }), "loss");
    expect(() => derive(frozen, nothing, [])).toThrow(/no trainable parameter/);
  });

  it("drops ops nobody needs", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("w") }), "y");
    graph.apply(normed, { x: a });
    const c = output(graph.apply(fixed, { x: a }), "y");
    expect(derive(graph, undefined, [c]).steps.map((one) => one.label)).toEqual([
      "scale#0 forward0",
      "fixed#2 forward0",
    ]);
  });

  it("keeps saved statistics alive exactly as long as a backward pass reads them", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("w") }), "y");
    const y = output(graph.apply(normed, { x: a }), "y");
    const loss = output(graph.apply(total, { x: y }), "loss");
    const users = (derived: Schedule) =>
      derived.steps.filter((one) => Object.values(one.bindings).some((b) => b.resource.name.endsWith(".mean"))).length;
    expect(users(derive(graph, loss, [loss]))).toBe(2);
    expect(users(derive(graph, undefined, [loss]))).toBe(1);
  });

  it("writes aside and adds where one kernel would have to write one gradient and add to the other", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const b = output(graph.apply(scale, { x, weight: w("b") }), "y");
    const s = output(graph.apply(sum, { a, b }), "y");
    const t = output(graph.apply(fixed, { x: a }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(sum, { a: s, b: t }), "y") }), "loss");
    const back = writes(derive(graph, loss, [loss]).steps.slice(6));
    expect(back).toEqual([
      "d sum#4.y =",
      "d sum#2.y =",
      "d fixed#3.y =",
      "d scale#0.y =",
      "sum#2.sum#2 backward0 aside u =",
      "d scale#1.y =",
      "d scale#0.y +=",
      "b =",
      "a =",
    ]);
  });

  it("adds for kernels that cannot", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const s = output(graph.apply(sum, { a: output(graph.apply(fixed, { x: a }), "y"), b: a }), "y");
    const loss = output(graph.apply(total, { x: s }), "loss");
    const back = writes(derive(graph, loss, [loss]).steps.slice(4));
    expect(back.slice(3)).toEqual(["fixed#1.fixed#1 backward0 aside u =", "d scale#0.y +=", "a ="]);
  });

  it("adds both halves when one tensor is both inputs", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(sum, { a, b: a }), "y") }), "loss");
    const back = writes(derive(graph, loss, [loss]).steps.slice(3));
    expect(back).toEqual(["d sum#1.y =", "d scale#0.y =", "sum#1.sum#1 backward0 aside v =", "d scale#0.y +=", "a ="]);
  });

  it("lets a residual share one gradient instead of copying it", () => {
    const { graph, x, w } = inputs();
    const h = output(graph.apply(scale, { x, weight: w("w") }), "y");
    const m = output(graph.apply(scale, { x: output(graph.apply(normed, { x: h }), "y"), weight: w("v") }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(residual, { a: m, b: h }), "y") }), "loss");
    const back = derive(graph, loss, [loss]).steps.slice(5);
    // d_m is d_y; by the time the norm adds to d_h, which is d_y too, d_m has been read.
    expect(writes(back)).toEqual(["d residual#3.y =", "d normed#1.y =", "v =", "d residual#3.y +=", "w ="]);
    expect(back[4]?.bindings.a?.resource.name).toBe("d residual#3.y");
  });

  it("copies a shared gradient before somebody adds to it while another still needs it", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const b = output(graph.apply(scale, { x, weight: w("b") }), "y");
    const t = output(graph.apply(normed, { x: b }), "y");
    const s = output(graph.apply(residual, { a, b }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(sum, { a: s, b: t }), "y") }), "loss");
    const back = derive(graph, loss, [loss]).steps.slice(6);
    expect(writes(back)).toEqual([
      "d sum#4.y =",
      "d residual#3.y =",
      "d normed#2.y =",
      "d scale#1.y =",
      "d scale#1.y +=",
      "b =",
      "a =",
    ]);
    expect(back[2]?.bindings.x?.resource.name).toBe("d residual#3.y");
    expect(back[4]?.bindings.a?.resource.name).toBe("d scale#1.y");
    expect(back[5]?.bindings.a?.resource.name).toBe("d residual#3.y");
  });

  it("adds a shared gradient to itself only through a copy", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(residual, { a, b: a }), "y") }), "loss");
    const back = derive(graph, loss, [loss]).steps.slice(3);
    expect(writes(back)).toEqual(["d residual#1.y =", "d scale#0.y =", "d scale#0.y +=", "a ="]);
    expect(back[2]?.bindings.x?.resource.name).toBe("d residual#1.y");
  });

  it("takes the gradient of an output that nobody used as zeros", () => {
    const { graph, x, w } = inputs();
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const loss = output(graph.apply(total, { x: output(graph.apply(two, { x: a }), "v") }), "loss");
    const back = derive(graph, loss, [loss]).steps.find((one) => one.label === "two#1 backward0");
    expect(back?.bindings.a?.resource).toMatchObject({ kind: "zeros", elements: 6 });
    expect(back?.bindings.b?.resource).toMatchObject({ kind: "arena", name: "d two#1.v" });
  });

  it("keeps every change of a state, in the order of recording, and drops what only leads past them", () => {
    const { graph, x, w } = inputs();
    const cache = graph.state("cache", [3, 2], "f32");
    const a = output(graph.apply(scale, { x, weight: w("a") }), "y");
    const before = output(graph.apply(sum, { a: cache, b: a }), "y");
    graph.apply(remember, { x: a, cache });
    const after = output(graph.apply(sum, { a: cache, b: a }), "y");
    graph.apply(scale, { x: after, weight: w("b") });
    const derived = derive(graph, undefined, [before, after]);
    expect(writes(derived.steps)).toEqual(["scale#0.y =", "sum#1.y =", "cache =", "sum#3.y ="]);
    expect(writes(derive(graph, undefined, []).steps)).toEqual(["scale#0.y =", "cache ="]);
    expect(derived.steps[2]?.bindings.y?.resource).toMatchObject({ kind: "state", elements: 6 });
  });

  it("lets ops change nothing but states", () => {
    const { graph, x, w } = inputs();
    const y = output(graph.apply(scale, { x, weight: w("w") }), "y");
    for (const cache of [x, y]) expect(() => graph.apply(remember, { x, cache })).toThrow(/must be a state/);
    expect(() => defineOp({ ...remember, updates: ["y"] })).toThrow(/no input/);
    graph.state("cache", [3, 2], "f32");
    expect(() => graph.state("cache", [3, 2], "f32")).toThrow(/twice/);
  });

  it("checks sizes, types and names while recording", () => {
    const { graph, x, w } = inputs();
    expect(() => graph.apply(scale, { x, weight: graph.parameter("other", [3], { trainable: true }) })).toThrow(
      /dim H/,
    );
    expect(() => graph.apply(scale, { x })).toThrow(/"weight" is missing/);
    expect(() => graph.apply(scale, { x, weight: w("w"), extra: x })).toThrow(/unknown input "extra"/);
    expect(() => graph.apply(scale, { x, weight: graph.input("ids", [2], "i32") })).toThrow(/is i32/);
    expect(() => graph.apply(scale, { x, weight: w("w") }, { eps: 1 })).toThrow(/unknown attribute/);
    expect(() => graph.parameter("w", [5], { trainable: true })).toThrow(/recorded with shapes/);
  });
});
