/** Which settings of a stage name the work of other stages, and what a stage makes. */
import type { ArtefactKind } from "./artefact";
import type { StageConfig } from "./config";

export interface Slot {
  /** Path inside the stage: "model", "reward_model", "models.1", ... */
  readonly slot: string;
  /** "base", a stage's id or `artefact:SHA256`. */
  readonly value: string;
  /** What may stand there. The run's base is a "model". */
  readonly accepts: readonly ArtefactKind[];
}

/** The kind of what a stage makes. */
export function outputOf(stage: StageConfig): ArtefactKind {
  switch (stage.stage) {
    case "sft":
      return stage.peft === null ? "model" : "adapter";
    case "reward":
      return "reward_model";
    case "merge":
      return "model";
    case "ppo":
    case "dpo":
      return "adapter";
    case "evaluate":
      return "generations";
  }
}

const WEIGHTS: readonly ArtefactKind[] = ["model"];
const ANY_MODEL: readonly ArtefactKind[] = ["model", "adapter"];
const REWARD: readonly ArtefactKind[] = ["reward_model"];

/**
 * A stage's slots in the order of its settings. What trains an adapter wants a whole model below it: an adapter on an
 * adapter has no place in PEFT's layout, so an adapter is merged first.
 */
export function slotsOf(stage: StageConfig): Slot[] {
  const several = (name: string, values: readonly string[], accepts: readonly ArtefactKind[]): Slot[] =>
    values.map((value, index) => ({ slot: `${name}.${index}`, value, accepts }));
  switch (stage.stage) {
    case "sft":
    case "reward":
      return [{ slot: "model", value: stage.model, accepts: stage.peft === null ? ANY_MODEL : WEIGHTS }];
    case "merge":
      return [{ slot: "adapter", value: stage.adapter, accepts: ["adapter"] }];
    case "ppo":
      return [
        { slot: "model", value: stage.model, accepts: WEIGHTS },
        { slot: "reward_model", value: stage.reward_model, accepts: REWARD },
      ];
    case "dpo":
      return [{ slot: "model", value: stage.model, accepts: WEIGHTS }];
    case "evaluate":
      return [...several("models", stage.models, ANY_MODEL), ...several("reward_models", stage.reward_models, REWARD)];
  }
}

const ARTEFACT = "artefact:";

/** The hash of an `artefact:SHA256` slot, null for every other. */
export const artefactOf = (value: string): string | null =>
  value.startsWith(ARTEFACT) ? value.slice(ARTEFACT.length) : null;
