/** The table of the walk-through: id, prompt, both texts, votes, majority, rewards; sorted and filtered. */
import type { RatingItem, RatingSession, Vote, VoteChoice } from "../protocol/rating";
import { rewardNames } from "./figures";
import { votesOfPair } from "./pairs";
import { A, B, byCodePoint, majority, type Outcome, TIE } from "./tally";

export interface RowVote {
  readonly rater: string;
  readonly choice: VoteChoice;
  /** The model that was chosen; null for tie, both_bad and skip. */
  readonly model: string | null;
  readonly ms: number;
  /** A later vote of the rater on the item: shown, never counted. */
  readonly repeat: boolean;
}

export interface VerdictRow {
  readonly item: string;
  readonly prompt: string;
  readonly text_a: string;
  readonly text_b: string;
  /** Counted votes for A, for B, ties (both_bad among them). */
  readonly counts: readonly [number, number, number];
  readonly both_bad: number;
  readonly skipped: number;
  /** 0: A, 1: B, 2: tie; null without a vote. */
  readonly majority: Outcome | null;
  readonly votes: readonly RowVote[];
  /** By reward model: [A, B]. */
  readonly rewards: Readonly<Record<string, readonly [number | null, number | null]>>;
}

export interface VerdictTable {
  /** [A, B], alphabetical by code point. */
  readonly models: readonly [string, string];
  readonly rewards: readonly string[];
  /** In the session's order. */
  readonly rows: readonly VerdictRow[];
}

/** One row an item of the session, whether voted on or not. */
export function verdictTable(
  session: RatingSession,
  votes: readonly Vote[],
  pair: readonly [string, string],
): VerdictTable {
  const [a = "", b = ""] = [...pair].sort(byCodePoint);
  const byItem = new Map<string, Vote[]>();
  for (const vote of votesOfPair(votes, a, b)) {
    const key = String(vote.item);
    const own = byItem.get(key);
    if (own) own.push(vote);
    else byItem.set(key, [vote]);
  }
  const rewards = rewardNames(session);
  const rows = session.items.map((item) => rowOf(item, [a, b], rewards, byItem.get(String(item.item)) ?? []));
  return { models: [a, b], rewards, rows };
}

function rowOf(
  { item, prompt, texts }: RatingItem,
  [a, b]: readonly [string, string],
  rewards: readonly string[],
  votes: readonly Vote[],
): VerdictRow {
  const seen = new Set<string>();
  const counts: [number, number, number] = [0, 0, 0];
  let [both_bad, skipped] = [0, 0];
  const listed = votes.map((vote): RowVote => {
    const { choice, ms } = vote;
    const rater = String(vote.rater);
    const model = choice === "left" || choice === "right" ? vote[choice] : null;
    if (choice === "skip") {
      skipped++;
      return { rater, choice, model, ms, repeat: false };
    }
    const repeat = seen.has(rater);
    seen.add(rater);
    if (!repeat) {
      counts[model === null ? TIE : model === a ? A : B]++;
      if (choice === "both_bad") both_bad++;
    }
    return { rater, choice, model, ms, repeat };
  });
  const textOf = (model: string) => texts.find((text) => text.model === model);
  const rewardOf = (model: string, reward: string): number | null => textOf(model)?.rewards[reward] ?? null;
  return {
    item: String(item),
    prompt,
    text_a: textOf(a)?.text ?? "",
    text_b: textOf(b)?.text ?? "",
    counts,
    both_bad,
    skipped,
    majority: seen.size === 0 ? null : majority(counts),
    votes: listed,
    rewards: Object.fromEntries(rewards.map((name) => [name, [rewardOf(a, name), rewardOf(b, name)]])),
  };
}

export type RowSort =
  | { readonly by: "item" }
  /** B's share of the votes, ties half. */
  | { readonly by: "share" }
  /** How far apart the votes are: 1 where all say the same. */
  | { readonly by: "agreement" }
  | { readonly by: "reward"; readonly reward: string; readonly side: 0 | 1 }
  | { readonly by: "difference"; readonly reward: string }
  /** Difference of rewards against the votes: what reward and people see most differently. */
  | { readonly by: "conflict"; readonly reward: string };

export type RowShow = "all" | "a" | "b" | "tie" | "none" | "conflict";

export interface RowFilter {
  readonly sort: RowSort;
  readonly descending: boolean;
  readonly search: string;
  readonly show: RowShow;
  /** The reward that "conflict" means. */
  readonly reward: string | null;
}

/** Rows that have no value for the order come last either way. */
export function selectVerdictRows({ rows }: VerdictTable, filter: RowFilter): VerdictRow[] {
  const wanted = plain(filter.search.trim());
  return rows
    .map((row, at) => ({ row, at, value: filter.sort.by === "item" ? at : sortValue(row, filter.sort) }))
    .filter(({ row }) => shows(row, filter))
    .filter(
      ({ row }) => wanted === "" || plain(`${row.item}\n${row.prompt}${row.text_a}\n${row.text_b}`).includes(wanted),
    )
    .sort((one, other) => {
      if (one.value === null || other.value === null) return Number(one.value === null) - Number(other.value === null);
      return (filter.descending ? other.value - one.value : one.value - other.value) || one.at - other.at;
    })
    .map(({ row }) => row);
}

const plain = (text: string): string => text.normalize("NFKC").toLowerCase();

/** B's share of the votes of a row, ties half; null without a vote. */
export function shareOfB({ counts: [a, b, tie] }: Pick<VerdictRow, "counts">): number | null {
  const votes = a + b + tie;
  return votes === 0 ? null : (b + tie / 2) / votes;
}

/** Reward of B's text minus A's; null where one is missing. */
export function rewardDifference({ rewards }: VerdictRow, reward: string): number | null {
  const [a = null, b = null] = rewards[reward] ?? [];
  return a === null || b === null ? null : b - a;
}

function sortValue(row: VerdictRow, sort: Exclude<RowSort, { by: "item" }>): number | null {
  switch (sort.by) {
    case "share":
      return shareOfB(row);
    case "agreement": {
      const votes = row.counts[A] + row.counts[B] + row.counts[TIE];
      return votes === 0 ? null : Math.max(...row.counts) / votes;
    }
    case "reward":
      return row.rewards[sort.reward]?.[sort.side] ?? null;
    case "difference":
      return rewardDifference(row, sort.reward);
    case "conflict":
      return conflictOf(row, sort.reward);
  }
}

/** Above zero where votes went against the reward, the more the larger both are; null without votes or rewards. */
export function conflictOf(row: VerdictRow, reward: string): number | null {
  const [share, difference] = [shareOfB(row), rewardDifference(row, reward)];
  return share === null || difference === null ? null : difference * (1 - 2 * share);
}

function shows(row: VerdictRow, { show, reward }: RowFilter): boolean {
  switch (show) {
    case "all":
      return true;
    case "a":
      return row.majority === A;
    case "b":
      return row.majority === B;
    case "tie":
      return row.majority === TIE;
    case "none":
      return row.majority === null;
    case "conflict":
      return reward !== null && (conflictOf(row, reward) ?? 0) > 0;
  }
}
