/** Votes as artefacts to learn from, and reward models held against votes that were kept back. */
import { backend } from "../clients/backend";
import { NagiError } from "../shared/errors";
import type { ArtefactRecord } from "../shared/protocol/artefact";
import { pairLines, type VotedPairs } from "../shared/ratings/preferences";
import { compareJudges, type DecidedPair, type JudgeComparison } from "../shared/ratings/reward-comparison";
import { useArtefacts } from "./artefacts";
import { type Rating, useRatings } from "./ratings";

/** Stores the pairs as an artefact whose parents are the session's. Rejects with data.*, storage.quota. */
export async function makePairs(
  { record }: Rating,
  { pairs, held_out }: VotedPairs,
  name: string,
): Promise<ArtefactRecord> {
  const { session } = record;
  const file = new File([pairLines(pairs)], "votes.jsonl", { type: "application/jsonl" });
  const made = await backend().importPreferences({ name: name.slice(0, 200), file, parents: session.parents });
  await useArtefacts.getState().load();
  await useRatings.getState().addMade(session.id, {
    artefact: made.id,
    pairs: pairs.length,
    held_out: [...held_out],
    created: made.created,
  });
  return made;
}

/** Pairs from a file that somebody else made. Rejects with data.*, storage.quota. */
export async function importPairs(name: string, file: File): Promise<ArtefactRecord> {
  const made = await backend().importPreferences({ name: name.slice(0, 200), file, parents: [] });
  await useArtefacts.getState().load();
  return made;
}

/** Both reward models on the same pairs. Rejects with gpu.*, artefact.*. */
export async function judge(before: string, after: string, pairs: readonly DecidedPair[]): Promise<JudgeComparison> {
  const texts = [...new Set(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]))];
  const rewardsBy = async (id: string): Promise<(readonly [number, number])[]> => {
    const scored = await backend().scoreArtefact(id, texts);
    const of = (text: string): number => {
      const reward = scored[texts.indexOf(text)]?.reward;
      if (reward !== undefined) return reward;
      throw new NagiError("internal", `Reward model ${id} left a text without a reward.`, { message: id });
    };
    return pairs.map(({ chosen, rejected }) => [of(chosen), of(rejected)] as const);
  };
  // One after the other: each needs the GPU.
  const old = await rewardsBy(before);
  return compareJudges(old, await rewardsBy(after));
}
