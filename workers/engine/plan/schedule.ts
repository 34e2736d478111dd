/**
 * From a recorded graph to the list of steps that is worth running: which ops are needed, the backward pass, and for
 * every write to a gradient whether it is the first (writes) or a later one (adds). Pure: no GPU, no memory yet.
 */

import { backwardSteps } from "./backward";
import type { Graph, Tensor } from "./record";
import {
  bindStep,
  expandSteps,
  forwardResource,
  keepNeeded,
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
  const { loss, outputs, capabilities } = options;
  for (const tensor of [...outputs, ...(loss ? [loss] : [])])
    if (graph.tensors[tensor.id] !== tensor) throw new Error(`tensor ${tensor.name} belongs to another graph`);
  const backward = loss ? backwardSteps(graph, loss, options, resources) : [];

  const needed = new Set<Resource>(outputs.map((tensor) => resources.value(tensor)));
  for (const step of backward) for (const binding of Object.values(step.bindings)) needed.add(binding.resource);
  const forward: ScheduledStep[] = [];
  for (const node of [...graph.nodes].reverse()) {
    const names = [...Object.keys(node.outputs), ...Object.keys(node.op.scratch)];
    const wanted = new Set(
      names.filter((name) => {
        const resource = forwardResource(node, name, resources);
        return resource !== undefined && needed.has(resource);
      }),
    );
    // What outlives the run is always wanted.
    for (const name of node.op.updates) wanted.add(name);
    if (wanted.size === 0) continue;
    const steps = keepNeeded(expandSteps(node, node.op.forward, capabilities, "forward"), wanted).map((step) =>
      bindStep(step, (name) => {
        const resource = forwardResource(node, name, resources);
        if (!resource) throw new Error(`${step.label}: unknown tensor "${name}"`);
        return resource;
      }),
    );
    for (const step of steps) for (const binding of Object.values(step.bindings)) needed.add(binding.resource);
    forward.unshift(...steps);
  }
  return {
    steps: [...forward, ...backward],
    outputs: new Map(outputs.map((tensor) => [tensor, resources.value(tensor)])),
    forwardSteps: forward.length,
  };
}
