/**
 * Recomputation (activation checkpointing): of a segment only what others use outlives its forward pass. When the backward
 * pass gets there, the segment's forward steps run again from what was kept, into memory of their own, with the same
 * kernels on the same numbers: the same bits.
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
  /** Tensors that are computed a second time. */
  readonly #again = new Set<Tensor>();
  readonly #made = new Set<Resource>();
  readonly #last: number;

  constructor(
    private readonly graph: Graph,
    private readonly options: ScheduleOptions,
    private readonly resources: Resources,
  ) {
    // The last segment's values would be made again right after they were.
    this.#last = Math.max(-1, ...graph.nodes.map(({ segment = -1 }) => segment));
    if (!options.recompute) return;
    for (const node of graph.nodes)
      if (this.#inSegment(node)) for (const tensor of Object.values(node.outputs)) this.#again.add(tensor);
    const makers = new Map(
      graph.nodes.flatMap((node) => Object.values(node.outputs).map((tensor) => [tensor, node] as const)),
    );
    for (const node of graph.nodes)
      for (const tensor of Object.values(node.inputs))
        if (makers.get(tensor)?.segment !== node.segment) this.#again.delete(tensor);
    for (const tensor of options.outputs) this.#again.delete(tensor);
  }

  /** What a name of a node stands for while its backward steps run. */
  resolve(node: Node, name: string): Resource | undefined {
    const tensor = node.inputs[name] ?? node.outputs[name];
    if (tensor && this.#again.has(tensor)) return this.#remember(this.resources.again(tensor));
    const spec = node.op.scratch[name];
    if (tensor || !spec || !this.#inSegment(node)) return forwardResource(node, name, this.resources);
    const elements = elementCount(spec, node.dims);
    return this.#remember(this.resources.scratch(node, `${name} again`, elements, spec.type ?? "f32"));
  }

  /** The segment's forward steps that make again what is in `needed`, which grows by what they read. */
  steps(segment: number, needed: Set<Resource>): ScheduledStep[] {
    const nodes = this.graph.nodes.filter((node) => node.segment === segment && this.#inSegment(node));
    return forwardSteps(
      nodes,
      needed,
      "again",
      this.options,
      (node, name) => this.resolve(node, name),
      (resource) => this.#made.has(resource),
    );
  }

  #remember(resource: Resource): Resource {
    this.#made.add(resource);
    return resource;
  }

  /** What changes state must not run twice. */
  #inSegment({ segment, op }: Node): boolean {
    return (
      this.options.recompute === true && segment !== undefined && segment !== this.#last && op.updates.length === 0
    );
  }
}
