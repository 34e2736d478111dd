/**
 * The pieces a schedule is made of: resources (what a binding points at, before memory is assigned) and steps with their
 * kernel chosen. Used by the forward part (schedule.ts) and the backward part (backward.ts).
 */

import type { ElementType, KernelDefinition } from "../kernels/define";
import type { Capabilities, Step } from "../ops/define";
import { elementCount, resolveSize, sizedSteps } from "../ops/define";
import type { Node, Tensor } from "./record";
import { shapeSize } from "./record";

/** weight, gradient, input and state have a home of their own; arena resources are placed by lifetime. */
export type ResourceKind = "weight" | "gradient" | "input" | "state" | "seed" | "zeros" | "arena";

export interface Resource {
  readonly id: number;
  readonly kind: ResourceKind;
  /** Name of the parameter, input or state; for arena resources a label. */
  readonly name: string;
  readonly elements: number;
  readonly type: ElementType;
  /** Elements of each part (the last has what is left) where it is stored in parts, each in a place of its own. */
  readonly partElements?: number;
}

export interface Binding {
  readonly resource: Resource;
  /** First element and number of elements. */
  readonly first: number;
  readonly count: number;
  readonly access: "read" | "read_write";
}

export interface ScheduledStep {
  readonly label: string;
  readonly kernel: KernelDefinition;
  readonly overrides: Readonly<Record<string, number>>;
  readonly elements: Readonly<Record<string, ElementType>>;
  readonly bindings: Readonly<Record<string, Binding>>;
  readonly params: Readonly<Record<string, number>>;
}

export interface ScheduleOptions {
  /** A [1] tensor: its gradient for every trainable parameter is computed. Without it there is no backward pass. */
  readonly loss?: Tensor;
  /** Tensors that can be read after the run. */
  readonly outputs: readonly Tensor[];
  /** Gradients of parameters are added to what is there (2nd and later micro-batches) instead of written. */
  readonly accumulate: boolean;
  readonly capabilities: Capabilities;
  readonly recompute?: Recompute;
}

/**
 * What of the forward pass is computed again in the backward pass instead of kept: nothing, the outputs of quick ops, or
 * of each segment all that only the segment itself uses.
 */
export type Recompute = "nothing" | "quick" | "segments";

export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { f32: 4, f16: 2, u32: 4, i32: 4 };

/** Hands out resources, one per tensor, gradient or private scratch. */
export class Resources {
  readonly #byKey = new Map<string, Resource>();
  #count = 0;

  get(
    key: string,
    kind: ResourceKind,
    name: string,
    elements: number,
    type: ElementType,
    parts: Pick<Resource, "partElements"> = {},
  ): Resource {
    const known = this.#byKey.get(key);
    if (known) return known;
    const resource = { id: this.#count++, kind, name, elements, type, ...parts };
    this.#byKey.set(key, resource);
    return resource;
  }

  /** The value of a tensor. */
  value(tensor: Tensor): Resource {
    const kind = ({ parameter: "weight", input: "input", state: "state", value: "arena" } as const)[tensor.kind];
    return this.get(`value ${tensor.id}`, kind, tensor.name, shapeSize(tensor.shape), tensor.type, partsOf(tensor));
  }

  gradient(tensor: Tensor): Resource {
    const kind = tensor.kind === "parameter" ? "gradient" : "arena";
    const name = kind === "gradient" ? tensor.name : `d ${tensor.name}`;
    return this.get(`gradient ${tensor.id}`, kind, name, shapeSize(tensor.shape), "f32", partsOf(tensor));
  }

  /** The value of a tensor when it is computed a second time. */
  again({ id, name, shape, type }: Tensor): Resource {
    return this.get(`again ${id}`, "arena", `${name} again`, shapeSize(shape), type);
  }

  /** A temporary that belongs to one node. */
  scratch(node: Node, name: string, elements: number, type: ElementType): Resource {
    return this.get(`scratch ${node.label} ${name}`, "arena", `${node.label}.${name}`, elements, type);
  }
}

function partsOf({ shape, partRows }: Tensor): Pick<Resource, "partElements"> {
  return partRows === undefined ? {} : { partElements: partRows * shapeSize(shape.slice(1)) };
}

/** A step of a node with its kernel chosen and its tensor names sorted into reads and writes. */
export interface ExpandedStep {
  readonly label: string;
  readonly kernel: KernelDefinition;
  readonly overrides: Readonly<Record<string, number>>;
  readonly elements: Readonly<Record<string, ElementType>>;
  readonly params: Readonly<Record<string, number>>;
  /** Kernel binding, tensor name in the op, access, and the range in elements where only a part is bound. */
  readonly uses: readonly {
    readonly binding: string;
    readonly tensor: string;
    readonly access: "read" | "read_write";
    readonly range: readonly [first: number, count: number] | undefined;
  }[];
}

/** The steps of one phase of a node that apply at its sizes. */
export function expandSteps(
  node: Node,
  steps: readonly Step[],
  capabilities: Capabilities,
  phase: string,
): ExpandedStep[] {
  const types: Record<string, ElementType> = {};
  for (const [name, spec] of Object.entries({ ...node.op.outputs, ...node.op.scratch, ...node.op.backwardScratch }))
    types[name] = spec.type ?? "f32";
  for (const [name, tensor] of Object.entries(node.inputs)) types[name] = tensor.type;
  return sizedSteps(steps, node.dims).map(({ step, dims, slices }, index) => {
    const { kernel, overrides, elements } = step.choose(dims, capabilities, types);
    const label = `${node.label} ${phase}${index}`;
    for (const binding of Object.keys(step.bind))
      if (!kernel.bindings.some((known) => known.name === binding))
        throw new Error(`${label}: kernel ${kernel.name} has no binding "${binding}"`);
    const uses = kernel.bindings.map(({ name, access }) => {
      const tensor = step.bind[name];
      if (tensor === undefined) throw new Error(`${label}: binding "${name}" of kernel ${kernel.name} is not bound`);
      return { binding: name, tensor, access, range: slices[tensor] };
    });
    const params = Object.fromEntries(
      Object.entries(step.params).map(([name, size]) => [name, resolveSize(size, dims)]),
    );
    return { label, kernel, overrides: overrides ?? {}, elements: elements ?? {}, params, uses };
  });
}

/** The step with its resources; `override` adds to the step's own override constants. */
export function bindStep(
  step: ExpandedStep,
  resolve: (tensor: string, use: ExpandedStep["uses"][number]) => Resource,
  override: Readonly<Record<string, number>> = {},
): ScheduledStep {
  const bindings: Record<string, Binding> = {};
  for (const use of step.uses) {
    const resource = resolve(use.tensor, use);
    const [first, count] = use.range ?? [0, resource.elements];
    if (!(first >= 0 && count >= 0 && first + count <= resource.elements))
      throw new Error(
        `${step.label}: slice [${first}, ${first + count}) leaves "${use.tensor}" [${resource.elements}]`,
      );
    const { partElements = resource.elements } = resource;
    if (count > 0 && Math.floor(first / partElements) !== Math.floor((first + count - 1) / partElements))
      throw new Error(
        `${step.label}: [${first}, ${first + count}) of "${use.tensor}" lies in several parts of ${partElements}: the op cannot take it apart`,
      );
    bindings[use.binding] = { resource, first, count, access: use.access };
  }
  const { label, kernel, elements, params } = step;
  return { label, kernel, overrides: { ...step.overrides, ...override }, elements, bindings, params };
}

/** Keeps the steps that lead to `needed` (which grows by what they read), in the original order. */
export function keepNeeded(steps: readonly ExpandedStep[], needed: Set<string>): ExpandedStep[] {
  const kept: ExpandedStep[] = [];
  for (const step of [...steps].reverse()) {
    if (!step.uses.some((use) => use.access === "read_write" && needed.has(use.tensor))) continue;
    for (const use of step.uses) needed.add(use.tensor);
    kept.unshift(step);
  }
  return kept;
}

/** The resource a name of a node's op stands for. */
export type Resolve = (node: Node, name: string) => Resource | undefined;

/**
 * The forward steps of the nodes that lead to `needed`, in order; `needed` grows by what they bind.
 * @param resolve which resource a name stands for. @param wants whether a resource is theirs to make.
 */
export function forwardSteps(
  nodes: readonly Node[],
  needed: Set<Resource>,
  phase: string,
  { capabilities }: Pick<ScheduleOptions, "capabilities">,
  resolve: Resolve,
  wants: (resource: Resource) => boolean = () => true,
): ScheduledStep[] {
  const found: ScheduledStep[] = [];
  for (const node of [...nodes].reverse()) {
    const names = [...Object.keys(node.outputs), ...Object.keys(node.op.scratch)];
    const wanted = new Set(
      names.filter((name) => {
        const resource = resolve(node, name);
        return resource !== undefined && needed.has(resource) && wants(resource);
      }),
    );
    // What outlives the run is always wanted.
    for (const name of node.op.updates) wanted.add(name);
    if (wanted.size === 0) continue;
    const steps = keepNeeded(expandSteps(node, node.op.forward, capabilities, phase), wanted).map((step) =>
      bindStep(step, (name) => {
        const resource = resolve(node, name);
        if (!resource) throw new Error(`${step.label}: unknown tensor "${name}"`);
        return resource;
      }),
    );
    for (const step of steps) for (const binding of Object.values(step.bindings)) needed.add(binding.resource);
    found.unshift(...steps);
  }
  return found;
}

/** The value a name of the op stands for in its forward steps. */
export function forwardResource(node: Node, name: string, resources: Resources): Resource | undefined {
  const tensor = node.inputs[name] ?? node.outputs[name];
  if (tensor) return resources.value(tensor);
  const spec = node.op.scratch[name];
  return spec && resources.scratch(node, name, elementCount(spec, node.dims), spec.type ?? "f32");
}
