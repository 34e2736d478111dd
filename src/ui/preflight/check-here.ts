/** Whether the stages that run in this browser fit it. */
import type { RunConfig } from "../../shared/protocol/config";
import type { StagePlaces } from "../../shared/protocol/launch";
import { estimateStage } from "../../stores/preflight";

/** The first stage that does not fit; null where none is known not to. Never rejects: what cannot be asked is left to the run. */
export async function misfitHere(config: RunConfig, places: StagePlaces): Promise<string | null> {
  for (const { id } of config.stages) {
    if (places[id]?.at === "worker") continue;
    const result = await estimateStage(config, id).catch(() => null);
    if (result?.fits === false) return id;
  }
  return null;
}
