/** Votes as preference pairs for training, with a part of the items kept back to compare reward models on. */
import type { PreferencePair } from "../protocol/artefact";
import type { RatingSession, Vote } from "../protocol/rating";
import { Random } from "../stats/random";
import { type VerdictRow, verdictTable } from "./rows";
import { modelPairs } from "./session";
import { TIE } from "./tally";

/** majority: one pair an item and pair of models, where the votes decided. vote: one pair for every vote for a side. */
export type PairRule = "majority" | "vote";

export interface VotedPairs {
  readonly pairs: readonly PreferencePair[];
  /** Ids, as text, of the items that were kept back. */
  readonly held_out: readonly string[];
  /** Pairs left out because a text is empty or both are the same. */
  readonly unusable: number;
}

/** A share of the voted items, drawn by the session's seed; ids as text, in the session's order. */
export function holdOut(session: RatingSession, votes: readonly Vote[], share: number): string[] {
  const voted = new Set(votes.filter(({ choice }) => choice !== "skip").map(({ item }) => String(item)));
  const ids = session.items.map(({ item }) => String(item)).filter((item) => voted.has(item));
  const drawn = new Set(
    Random.seeded(session.seed, 4)
      .shuffle([...ids])
      .slice(0, Math.round(ids.length * share)),
  );
  return ids.filter((item) => drawn.has(item));
}

/** Ties, both_bad, skips and repeats make no pair. */
export function pairsFromVotes(
  session: RatingSession,
  votes: readonly Vote[],
  rule: PairRule,
  share: number,
): VotedPairs {
  const held_out = holdOut(session, votes, share);
  const kept = new Set(held_out);
  const pairs: PreferencePair[] = [];
  let unusable = 0;
  for (const models of modelPairs(session.models)) {
    const table = verdictTable(session, votes, models);
    for (const row of table.rows) {
      if (kept.has(row.item)) continue;
      for (const winner of winners(row, table.models, rule)) {
        const [chosen, rejected] = winner === 0 ? [row.text_a, row.text_b] : [row.text_b, row.text_a];
        if (chosen.trim() === "" || rejected.trim() === "" || chosen === rejected) unusable++;
        else pairs.push({ prompt: row.prompt, chosen, rejected });
      }
    }
  }
  return { pairs, held_out, unusable };
}

function winners(row: VerdictRow, [a, b]: readonly [string, string], rule: PairRule): (0 | 1)[] {
  if (rule === "majority") return row.majority === null || row.majority === TIE ? [] : [row.majority];
  return row.votes.flatMap(({ model, repeat }) => (repeat ? [] : model === a ? [0] : model === b ? [1] : []));
}

/** JSONL of {prompt, chosen, rejected}. */
export const pairLines = (pairs: readonly PreferencePair[]): string =>
  pairs.map((pair) => `${JSON.stringify(pair)}\n`).join("");
