/**
 * The backward pass: the recorded nodes in reverse order, as far as a gradient flows. Frozen parameters and inputs get
 * no steps; the first write to a gradient writes, later ones add.
 */

import { accumulate as accumulateKernel } from "../kernels/accumulate";
import type { TensorSpec } from "../ops/define";
import { elementCount } from "../ops/define";
import type { Recomputation } from "./recompute";
import type { Graph, Node, Tensor } from "./record";
import { isDifferentiable, shapeSize } from "./record";
import {
  type Binding,
  bindStep,
  type ExpandedStep,
  expandSteps,
  keepNeeded,
  type Resource,
  type Resources,
  type ScheduledStep,
  type ScheduleOptions,
} from "./steps";

/** Which ranges of each gradient have been written so far. */
class Written {
  readonly #ranges = new Map<Resource, [first: number, end: number][]>();

  /** @throws Error where a range is partly written: neither writing nor adding would be right. */
  has(resource: Resource, first: number, count: number, label: string): boolean {
    const end = first + count;
    let covered = 0;
    for (const [low, high] of this.#ranges.get(resource) ?? [])
      covered += Math.max(0, Math.min(end, high) - Math.max(first, low));
    if (covered > 0 && covered < count)
      throw new Error(`${label}: [${first}, ${end}) of the gradient "${resource.name}" is partly written already`);
    return covered > 0;
  }

  add(resource: Resource, first: number, count: number): void {
    const ranges = this.#ranges.get(resource) ?? [];
    ranges.push([first, first + count]);
    this.#ranges.set(resource, ranges);
  }
}

/**
 * Steps that compute the gradient of `loss` for every trainable parameter it depends on, in sections.
 * @param recomputation says what they read of the forward pass, and where it is by then; what a section reads of it is made
 * again before the section.
 */
export function backwardSteps(
  graph: Graph,
  loss: Tensor,
  options: ScheduleOptions,
  resources: Resources,
  recomputation: Recomputation,
): ScheduledStep[][] {
  if (loss.shape.join() !== "1") throw new Error(`the loss has shape [${loss.shape.join()}], not [1]`);
  if (!loss.needsGradient) throw new Error(`the loss ${loss.name} depends on no trainable parameter`);
  const walk = new Walk(loss, options, resources, recomputation);
  for (const node of [...graph.nodes].reverse()) walk.visit(node);
  return walk.sections;
}

/**
 * Which resource holds the gradient of which tensor. Where an op only passes its gradient on (a residual), both tensors
 * share one resource until somebody adds to it while another still needs it.
 */
class Gradients {
  readonly #held = new Map<Tensor, Resource>();
  /** Tensors whose gradient the resource is, and that some step may still read. */
  readonly #owners = new Map<Resource, Set<Tensor>>();

  constructor(private readonly resources: Resources) {}

  of(tensor: Tensor): Resource {
    const known = this.#held.get(tensor);
    if (known) return known;
    const resource = this.resources.gradient(tensor);
    this.#hold(tensor, resource);
    return resource;
  }

  /** Makes the gradient of `input`, which has none yet, the same as that of `output`. */
  share(input: Tensor, output: Tensor): void {
    this.#hold(input, this.of(output));
  }

  /** Whether a write for `tensor` would change what another tensor still needs. */
  shared(tensor: Tensor): boolean {
    return (this.#owners.get(this.of(tensor))?.size ?? 0) > 1;
  }

  /** Gives the tensor a resource of its own, to be filled with a copy of the one it shared. */
  separate(tensor: Tensor): Resource {
    this.release(tensor);
    const resource = this.resources.gradient(tensor);
    this.#hold(tensor, resource);
    return resource;
  }

  has(tensor: Tensor): boolean {
    return this.#held.has(tensor);
  }

  /** Nobody reads the gradient of the tensor from here on. */
  release(tensor: Tensor): void {
    this.#owners.get(this.of(tensor))?.delete(tensor);
  }

  #hold(tensor: Tensor, resource: Resource): void {
    this.#held.set(tensor, resource);
    const owners = this.#owners.get(resource) ?? new Set();
    this.#owners.set(resource, owners.add(tensor));
  }
}

class Walk {
  readonly sections: ScheduledStep[][] = [];
  #section: unknown;
  /** Tensors (not parameters) whose gradient some visited node has produced. */
  readonly #reached: Set<Tensor>;
  readonly #written = new Written();
  readonly #gradients: Gradients;

  constructor(
    private readonly loss: Tensor,
    private readonly options: ScheduleOptions,
    private readonly resources: Resources,
    private readonly recomputation: Recomputation,
  ) {
    this.#reached = new Set([loss]);
    this.#gradients = new Gradients(resources);
  }

  visit(node: Node): void {
    if (!Object.values(node.outputs).some((tensor) => this.#reached.has(tensor))) return;
    const wanted = Object.entries(node.op.inputs)
      .filter(([name, spec]) => isDifferentiable(spec) && node.inputs[name]?.needsGradient === true)
      .map(([name]) => name);
    if (wanted.length === 0) return;
    const expanded = expandSteps(node, node.op.backward, this.options.capabilities, "backward");
    const steps = keepNeeded(expanded, new Set(wanted.map((name) => `d_${name}`)));
    for (const name of wanted) {
      const writes = (step: ExpandedStep) =>
        step.uses.some((use) => use.tensor === `d_${name}` && use.access === "read_write");
      if (!steps.some(writes)) throw new Error(`${node.label}: the op has no backward step for d_${name}`);
    }
    const section = this.recomputation.section(node);
    if (this.sections.length === 0 || this.#section !== section) this.sections.push([]);
    this.#section = section;
    for (const step of steps) if (!this.#passOn(node, step)) this.#emit(node, step);
    for (const name of wanted) {
      const tensor = node.inputs[name];
      if (tensor) this.#reached.add(tensor);
    }
    for (const tensor of Object.values(node.outputs)) this.#gradients.release(tensor);
  }

  /** A step that only copies an output's gradient to an input that has none yet needs no dispatch. */
  #passOn(node: Node, step: ExpandedStep): boolean {
    if (step.kernel.name !== accumulateKernel.name) return false;
    const [from, to] = step.uses;
    if (!from?.tensor.startsWith("d_") || !to || from.range || to.range) return false;
    const output = node.outputs[from.tensor.slice(2)];
    const input = this.#gradientTarget(node, to.tensor);
    if (!output || output === this.loss || !this.#reached.has(output)) return false;
    if (input?.kind !== "value" || this.#gradients.has(input)) return false;
    if (shapeSize(input.shape) !== shapeSize(output.shape)) return false;
    this.#gradients.share(input, output);
    return true;
  }

  #emit(node: Node, step: ExpandedStep): void {
    for (const use of step.uses) {
      const target = use.access === "read_write" ? this.#gradientTarget(node, use.tensor) : undefined;
      if (target && this.#gradients.shared(target)) this.#separate(target, step.label);
    }
    const plain = bindStep(step, (name, use) => this.#resolve(node, name, use.access, step.label));
    // What this step does to gradients of inputs: first contribution or a later one?
    const later = new Map<string, Binding>();
    const first: string[] = [];
    const seen = new Set<Resource>();
    for (const use of step.uses) {
      const target = use.access === "read_write" ? this.#gradientTarget(node, use.tensor) : undefined;
      const binding = plain.bindings[use.binding];
      if (!target || !binding) continue;
      const twice = seen.has(binding.resource);
      if (twice || this.#adds(target, binding, step.label)) later.set(use.binding, binding);
      else first.push(use.binding);
      seen.add(binding.resource);
      this.#written.add(binding.resource, binding.first, binding.count);
    }
    const canAdd = "ACCUMULATE" in step.kernel.overrides;
    const distinct = new Set([...later.values()].map((binding) => binding.resource)).size === later.size;
    if (later.size === 0 || (canAdd && first.length === 0 && distinct)) {
      // A step that writes scratch alone keeps its own override: the op knows what it adds to.
      const writes = later.size + first.length > 0;
      this.#push(canAdd && writes ? withOverride(plain, later.size > 0 ? 1 : 0) : plain);
      return;
    }
    // One kernel, two treatments (or a kernel that cannot add): write the later contributions aside and add them.
    const bindings: Record<string, Binding> = { ...plain.bindings };
    const additions: ScheduledStep[] = [];
    for (const [name, target] of later) {
      const aside = this.resources.scratch(node, `${step.label} aside ${name}`, target.count, "f32");
      const source: Binding = { resource: aside, first: 0, count: target.count, access: "read_write" };
      bindings[name] = source;
      additions.push(copyStep(`${step.label} add ${name}`, source, target, 1));
    }
    const written = { ...plain, bindings };
    this.#push(canAdd ? withOverride(written, 0) : written, ...additions);
  }

  #push(...steps: readonly ScheduledStep[]): void {
    this.sections.at(-1)?.push(...steps);
  }

  #separate(tensor: Tensor, label: string): void {
    const whole = (resource: Resource): Binding => ({
      resource,
      first: 0,
      count: resource.elements,
      access: "read_write",
    });
    const source = whole(this.#gradients.of(tensor));
    const target = whole(this.#gradients.separate(tensor));
    this.#written.add(target.resource, 0, target.count);
    this.#push(copyStep(`${label} copy`, source, target, 0));
  }

  #adds(target: Tensor, binding: Binding, label: string): boolean {
    if (target.kind === "parameter" && this.options.accumulate) return true;
    return this.#written.has(binding.resource, binding.first, binding.count, label);
  }

  /** The input whose gradient the name stands for, if that gradient is wanted. */
  #gradientTarget(node: Node, name: string): Tensor | undefined {
    const tensor = name.startsWith("d_") ? node.inputs[name.slice(2)] : undefined;
    return tensor?.needsGradient ? tensor : undefined;
  }

  #resolve(node: Node, name: string, access: "read" | "read_write", label: string): Resource {
    const forward = this.recomputation.resolve(node, name);
    if (forward) {
      if (access === "read_write" && !(name in node.op.scratch))
        throw new Error(`${label}: the backward pass may not write "${name}"`);
      return forward;
    }
    const scratch = node.op.backwardScratch[name];
    if (scratch) return this.#private(node, name, scratch);
    const plain = name.slice(2);
    const output = node.outputs[plain];
    if (output) {
      if (access === "read_write") throw new Error(`${label}: the backward pass may not write "${name}"`);
      if (output === this.loss) return this.resources.get("seed", "seed", "d loss", 1, "f32");
      if (this.#reached.has(output)) return this.#gradients.of(output);
      const elements = elementCount(node.op.outputs[plain] ?? { dims: [] }, node.dims);
      return this.resources.get(`zeros ${elements}`, "zeros", "zeros", elements, "f32");
    }
    const input = node.inputs[plain];
    if (!input) throw new Error(`${label}: unknown tensor "${name}"`);
    if (access === "read") throw new Error(`${label}: reads "${name}", which may hold other ops' contributions`);
    if (input.needsGradient) return this.#gradients.of(input);
    // A kernel that cannot leave out a gradient nobody wants writes it here.
    return this.#private(node, name, node.op.inputs[plain] ?? { dims: [] });
  }

  #private(node: Node, name: string, spec: TensorSpec): Resource {
    return this.resources.scratch(node, name, elementCount(spec, node.dims), spec.type ?? "f32");
  }
}

function withOverride(step: ScheduledStep, accumulate: 0 | 1): ScheduledStep {
  return { ...step, overrides: { ...step.overrides, ACCUMULATE: accumulate } };
}

/** target = source, or target += source. */
function copyStep(label: string, source: Binding, target: Binding, accumulate: 0 | 1): ScheduledStep {
  return {
    label,
    kernel: accumulateKernel,
    overrides: { ACCUMULATE: accumulate },
    elements: {},
    bindings: { x: { ...source, access: "read" }, y: target },
    params: { N: target.count },
  };
}
