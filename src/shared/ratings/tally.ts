/**
 * Votes on two models, counted. The conventions of docs/verdict.md: skip is missing; both_bad is a tie; the first vote of
 * a rater on an item counts, later ones are repeats and show only whether the rater agrees with themself; models in
 * alphabetical order (by code point), A the first.
 */
import { NagiError } from "../errors";
import type { Vote } from "../protocol/rating";

/** 0: A, 1: B, 2: tie. Also the order of `Tally.counts`. */
export type Outcome = 0 | 1 | 2;
export const [A, B, TIE] = [0, 1, 2] as const;

export interface Ballot {
  /** Index into `Tally.raters`. */
  readonly rater: number;
  /** Index into `Tally.items`. */
  readonly item: number;
  readonly outcome: Outcome;
  /** The side that was chosen, whatever stood there. */
  readonly side: "left" | "right" | null;
}

/** A rater's counted vote on an item and a later one. */
export interface Repeat {
  readonly rater: number;
  readonly item: number;
  readonly first: Outcome;
  readonly again: Outcome;
}

/** Votes of each outcome on an item: [A, B, tie]. */
export type ItemCounts = readonly [number, number, number];

export interface Tally {
  readonly models: readonly [string, string];
  /** Everyone who voted at least once, in the order of their first vote. */
  readonly raters: readonly string[];
  /** Every item that is named, also those that everyone skipped. */
  readonly items: readonly string[];
  readonly ballots: readonly Ballot[];
  readonly counts: readonly ItemCounts[];
  readonly repeats: readonly Repeat[];
  readonly skipped: number;
}

/** Order of Unicode code points, as Python's `sorted` has it; JavaScript's own compares UTF-16 units. */
export function byCodePoint(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function index(names: Map<string, number>, name: string): number {
  const known = names.get(name);
  if (known !== undefined) return known;
  names.set(name, names.size);
  return names.size - 1;
}

/** Takes votes one by one, so that a file need not be in memory. */
export class VoteCounter {
  readonly #models = new Set<string>();
  readonly #raters = new Map<string, number>();
  readonly #items = new Map<string, number>();
  /** Per item and rater: their ballot, as an index. */
  readonly #seen: Map<number, number>[] = [];
  readonly #ballots: { rater: number; item: number; chosen: string | null; side: "left" | "right" | null }[] = [];
  readonly #repeats: { ballot: number; chosen: string | null }[] = [];
  #skipped = 0;

  /** `file` names the votes in errors. */
  constructor(private readonly file: string) {}

  /** `line` from 1. Throws votes.models {file, line, found} at a third model, votes.bad_line at a model against itself. */
  add(vote: Vote, line: number): void {
    const { left, right, choice } = vote;
    if (left === right) throw badLine(this.file, line, "right", `"${right}" stands on both sides`);
    this.#models.add(left).add(right);
    if (this.#models.size > 2) {
      const found = [...this.#models].sort(byCodePoint).join(", ");
      throw new NagiError(
        "votes.models",
        `${this.file}, line ${line}: left/right: a verdict needs exactly two models, here are ${found}. Keep the votes of one pair of models in a file, and spell each model alike everywhere.`,
        { file: this.file, line, found },
      );
    }
    const item = index(this.#items, String(vote.item));
    if (choice === "skip") {
      this.#skipped++;
      return;
    }
    const rater = index(this.#raters, String(vote.rater));
    const side = choice === "left" || choice === "right" ? choice : null;
    const chosen = side === null ? null : vote[side];
    this.#seen[item] ??= new Map();
    const earlier = this.#seen[item].get(rater);
    if (earlier !== undefined) {
      this.#repeats.push({ ballot: earlier, chosen });
      return;
    }
    this.#seen[item].set(rater, this.#ballots.length);
    this.#ballots.push({ rater, item, chosen, side });
  }

  /** Throws votes.empty {file} where nothing was added. */
  tally(): Tally {
    const [a, b] = [...this.#models].sort(byCodePoint);
    if (a === undefined || b === undefined)
      throw new NagiError(
        "votes.empty",
        `${this.file}: holds no vote. Choose the file of a session in which somebody has voted.`,
        { file: this.file },
      );
    const outcome = (chosen: string | null): Outcome => (chosen === null ? TIE : chosen === a ? A : B);
    const counts = Array.from(this.#items, (): [number, number, number] => [0, 0, 0]);
    const ballots = this.#ballots.map(({ rater, item, chosen, side }) => {
      const row = counts[item];
      if (row) row[outcome(chosen)]++;
      return { rater, item, outcome: outcome(chosen), side };
    });
    return {
      models: [a, b],
      raters: [...this.#raters.keys()],
      items: [...this.#items.keys()],
      ballots,
      counts,
      repeats: this.#repeats.flatMap(({ ballot, chosen }) => {
        const first = ballots[ballot];
        return first ? [{ rater: first.rater, item: first.item, first: first.outcome, again: outcome(chosen) }] : [];
      }),
      skipped: this.#skipped,
    };
  }
}

/** All votes at once. Throws as `VoteCounter` does; lines are counted from 1 in the order of the array. */
export function tallyVotes(votes: readonly Vote[], file = "votes"): Tally {
  const counter = new VoteCounter(file);
  for (const [at, vote] of votes.entries()) counter.add(vote, at + 1);
  return counter.tally();
}

/** The choice with most votes; a draw, or no vote, is a tie. */
export function majority([a = 0, b = 0, tie = 0]: readonly number[]): Outcome {
  if (a > b && a > tie) return A;
  return b > a && b > tie ? B : TIE;
}

/** B's score of an item by its majority: 0, 0.5 or 1. */
export function scoreOf(counts: readonly number[]): number {
  const outcome = majority(counts);
  return outcome === TIE ? 0.5 : outcome;
}

/** votes.bad_line {file, line, field, problem}. */
export function badLine(file: string, line: number, field: string, problem: string, cause?: unknown): NagiError {
  return new NagiError(
    "votes.bad_line",
    `${file}, line ${line}: ${field}: ${problem}. A vote is one line {"rater", "item", "left", "right", "choice": "left" | "right" | "tie" | "both_bad" | "skip", "ms"}; correct the line or take it out.`,
    { file, line, field, problem },
    { cause },
  );
}
