/** Lines of a votes file. */
import type { z } from "zod";
import { type Vote, vote } from "../protocol/rating";
import { badLine, type Tally, VoteCounter } from "./tally";

/** Characters of a line; a vote has some two hundred. */
const LONGEST = 1 << 20;
const FIELDS: readonly string[] = Object.keys(vote.shape);
const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** What a field may hold, in words. */
const ALLOWED: Readonly<Record<string, string>> = {
  rater: "a name",
  item: "a whole number or a name",
  left: "the name of a model",
  right: "the name of a model",
  choice: '"left", "right", "tie", "both_bad" or "skip"',
  ms: "milliseconds, 0 or more",
};

/**
 * One vote from one line (from 1, named in errors). Fields besides a vote's own are ignored. Throws votes.bad_line {file,
 * line, field, problem}.
 */
export function readVote(text: string, file: string, line: number): Vote {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badLine(file, line, "(the line)", `is not JSON: ${shown(text)}`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw badLine(file, line, "(the line)", `is ${shown(value)}, not a JSON object`);
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => FIELDS.includes(key)));
  const parsed = vote.safeParse(own);
  if (parsed.success) return parsed.data;
  throw problem(parsed.error, own, file, line);
}

function problem(error: z.ZodError, value: Readonly<Record<string, unknown>>, file: string, line: number) {
  const field = String(error.issues[0]?.path[0] ?? "(the line)");
  const found = Object.hasOwn(value, field) ? `cannot be ${shown(value[field])}` : "is missing";
  return badLine(file, line, field, `${found}, it is ${ALLOWED[field] ?? "a field of a vote"}`);
}

/**
 * Counts a votes file that comes in pieces of text, in memory that grows with votes, not with their texts. Blank lines are
 * passed over. Throws what `readVote` and `VoteCounter` throw.
 */
export async function countVotes(pieces: AsyncIterable<string> | Iterable<string>, file: string): Promise<Tally> {
  const counter = new VoteCounter(file);
  let number = 0;
  const take = (text: string): void => {
    number++;
    if (text.trim() !== "") counter.add(readVote(text, file, number), number);
  };
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) take(text);
    if (rest.length > LONGEST) throw badLine(file, number + 1, "(the line)", "is too long for a vote");
  }
  take(rest);
  return counter.tally();
}
