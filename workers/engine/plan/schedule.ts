/**
 * From a recorded graph to the list of steps that is worth running: which ops are needed, the backward pass, and for
 * every write to a gradient whether it is the first (writes) or a later one (adds). Pure: no GPU, no memory yet.
 */

import { backwardSteps } from "./backward";
import { bound, Recomputation } from "./recompute";
import type { Graph, Tensor } from "./record";
import {
  forwardResource,
  forwardSteps,
  type Resource,
  Resources,
  type ScheduledStep,
  type ScheduleOptions,
} from "./steps";

export interface Schedule {
  readonly steps: readonly ScheduledStep[];
  /** Where the requested outputs are. */
  readonly outputs: ReadonlyMap<Tensor, Resource>;
  /** Number of forward steps; the others are the backward pass. */
  readonly forwardSteps: number;
}

/** Derives the steps for the outputs and, where a loss is given, for all gradients of trainable parameters. */
export function schedule(graph: Graph, options: ScheduleOptions): Schedule {
  const resources = new Resources();
  const { loss, outputs } = options;
  for (const tensor of [...outputs, ...(loss ? [loss] : [])])
    if (graph.tensors[tensor.id] !== tensor) throw new Error(`tensor ${tensor.name} belongs to another graph`);
  const recomputation = new Recomputation(graph, options, resources);
  const backward = loss ? backwardSteps(graph, loss, options, resources, recomputation) : [];

  const second = backward.flatMap((section) => [...recomputation.steps(section), ...section]);
  const needed = new Set([...outputs.map((tensor) => resources.value(tensor)), ...bound(second)]);
  const forward = forwardSteps(graph.nodes, needed, "forward", options, (node, name) =>
    forwardResource(node, name, resources),
  );
  return {
    steps: [...forward, ...second],
    outputs: new Map(outputs.map((tensor) => [tensor, resources.value(tensor)])),
    forwardSteps: forward.length,
  };
}
