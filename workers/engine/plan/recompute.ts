/**
 * Recomputation (activation checkpointing): what is quickly made, or of a segment all that only the segment itself uses,
 * does not outlive its forward pass. Where the backward pass needs it, the forward steps run again from what was kept, into
 * memory of their own, with the same kernels on the same numbers: the same bits.
 */

import { elementCount } from "../ops/define";
import type { Graph, Node, Tensor } from "./record";
import {
  forwardResource,
  forwardSteps,
  type Resource,
  type Resources,
  type ScheduledStep,
  type ScheduleOptions,
} from "./steps";

export class Recomputation {
  /** Nodes that run a second time, and those of their outputs that are forgotten. */
  readonly #nodes: readonly Node[];
  readonly #again = new Set<Tensor>();
  readonly #made = new Set<Resource>();
  readonly #done = new Set<Resource>();

  constructor(
    graph: Graph,
    private readonly options: ScheduleOptions,
    private readonly resources: Resources,
  ) {
    // The last segment's values would be made again right after they were.
    const last = Math.max(-1, ...graph.nodes.map(({ segment = -1 }) => segment));
    const { recompute = "nothing", outputs } = options;
    this.#nodes = graph.nodes.filter(({ op, segment }) => {
      // What changes state must not run twice.
      if (recompute === "nothing" || segment === undefined || segment === last || op.updates.length > 0) return false;
      return recompute === "segments" || op.quick;
    });
    const saved = ({ op, outputs }: Node) => op.saved.map((name) => outputs[name]);
    for (const node of this.#nodes) {
      for (const tensor of Object.values(node.outputs)) this.#again.add(tensor);
      // Statistics are small.
      if (recompute === "quick") for (const tensor of saved(node)) if (tensor) this.#again.delete(tensor);
    }
    const makers = new Map(
      this.#nodes.flatMap((node) => Object.values(node.outputs).map((one) => [one, node] as const)),
    );
    for (const node of graph.nodes)
      for (const tensor of Object.values(node.inputs))
        if (makers.get(tensor)?.segment !== node.segment) this.#again.delete(tensor);
    for (const tensor of outputs) this.#again.delete(tensor);
  }

  /** Nodes next to each other with equal keys get what they need made again at once. */
  section(node: Node): unknown {
    return this.options.recompute === "quick" ? node : node.segment;
  }

  /** What a name of a node stands for while its backward steps run. */
  resolve(node: Node, name: string): Resource | undefined {
    const tensor = node.inputs[name] ?? node.outputs[name];
    if (tensor && this.#again.has(tensor)) return this.#remember(this.resources.again(tensor));
    const spec = node.op.scratch[name];
    if (tensor || !spec || !this.#nodes.includes(node)) return forwardResource(node, name, this.resources);
    const elements = elementCount(spec, node.dims);
    return this.#remember(this.resources.scratch(node, `${name} again`, elements, spec.type ?? "f32"));
  }

  /** The forward steps that make again what a section of the backward pass binds, as far as that has not happened yet. */
  steps(section: readonly ScheduledStep[]): ScheduledStep[] {
    const needed = new Set(bound(section).filter((one) => this.#made.has(one) && !this.#done.has(one)));
    if (needed.size === 0) return [];
    const steps = forwardSteps(
      this.#nodes,
      needed,
      "again",
      this.options,
      (node, name) => this.resolve(node, name),
      (resource) => this.#made.has(resource) && !this.#done.has(resource),
    );
    for (const resource of bound(steps)) if (this.#made.has(resource)) this.#done.add(resource);
    return steps;
  }

  #remember(resource: Resource): Resource {
    this.#made.add(resource);
    return resource;
  }
}

/** The resources that steps bind. */
export const bound = (steps: readonly ScheduledStep[]): Resource[] =>
  steps.flatMap(({ bindings }) => Object.values(bindings).map(({ resource }) => resource));
