/** Before a stage allocates anything: whether all of it fits what the adapter grants, and its checkpoints the disk. */
import { NagiError } from "../../../src/shared/errors";
import type { PreflightProblem } from "../../../src/shared/protocol/preflight";
import { diskNeeds, storageNeeded } from "./disk-needs";
import { countStage } from "./preflight";
import type { StageInput } from "./stage";
import type { StageSizes } from "./stage-needs";
import { inputShapes } from "./stage-shapes";

/**
 * Counts what the stage will create for the texts at hand.
 * @throws NagiError gpu.limit {what, needed, granted}, storage.quota {needed, available}, the worst of its problems.
 */
export async function refuseUnlessFits(input: StageInput, sizes: StageSizes): Promise<void> {
  const { stage, gpu, storage, resume } = input;
  const shapes = await inputShapes(input);
  const { problems } = await countStage({ stage, shapes, seed: input.config.seed, sizes }, gpu.adapter);
  const [worst] = [...problems].sort((a, b) => b.needed / b.granted - a.needed / a.granted);
  if (worst) throw refusal(worst);
  // What goes on has its checkpoints on the disk already.
  const free = resume ? null : ((await storage.free?.()) ?? null);
  const needed = storageNeeded(diskNeeds(stage, shapes));
  if (free !== null && !(needed <= free))
    throw refusal({ kind: "storage", what: "storage", needed, granted: free, refuses: true });
}

/** A problem as the error a run fails with. */
export function refusal({ kind, what, needed, granted }: PreflightProblem): NagiError {
  switch (kind) {
    case "limit":
      return new NagiError(
        "gpu.limit",
        `"${what}" needs ${needed}, the adapter grants ${granted}: use shorter texts, fewer at a time, or another adapter`,
        { what, needed, granted },
      );
    case "memory":
      return new NagiError(
        "gpu.out_of_memory",
        `the run needs ${needed} bytes of memory, there are ${granted}: reduce the batch, or train an adapter`,
        { what, needed },
      );
    case "storage":
      return new NagiError(
        "storage.quota",
        `checkpoints and result need ${needed} bytes, ${granted} are free: delete old runs, or train an adapter`,
        { needed, available: granted },
      );
  }
}
