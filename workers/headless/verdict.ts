/** `nagi verdict VOTES.jsonl`: what people's votes say about two models. Keys and conventions: docs/verdict.md. */
import { open } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import { NagiError } from "../../src/shared/errors";
import { countVotes } from "../../src/shared/ratings/read-votes";
import { verdictSentence, verdictText } from "../../src/shared/ratings/sentence";
import { type Verdict, verdictOf } from "../../src/shared/ratings/verdict";
import { isMissing, reasonOf } from "./sources";

/** The file's text in pieces, without a byte order mark. Throws data.unreadable {file, reason, line}. */
async function* textOf(path: string): AsyncGenerator<string> {
  const unreadable = (reason: string, cause: unknown): NagiError =>
    new NagiError(
      "data.unreadable",
      `${path} cannot be read: ${reason}. Check the path and save the file as UTF-8.`,
      { file: path, reason, line: 0 },
      { cause },
    );
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch (cause) {
      throw unreadable("it is not UTF-8", cause);
    }
  };
  const chunk = new Uint8Array(1 << 20);
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(isMissing(cause) ? "there is no such file" : reasonOf(cause), cause);
  });
  try {
    for (;;) {
      const { bytesRead } = await file.read(chunk).catch((cause: unknown) => {
        throw unreadable(reasonOf(cause), cause);
      });
      if (bytesRead === 0) break;
      yield decode(chunk.subarray(0, bytesRead));
    }
    yield decode();
  } finally {
    await file.close();
  }
}

/** The verdict over a file, and what it leaves out: for `say`. Throws NagiError where the file is wrong. */
export async function readVerdict(path: string): Promise<{ verdict: Verdict; notes: string[] }> {
  const tally = await countVotes(textOf(path), path);
  const verdict = verdictOf(tally);
  const notes: string[] = [];
  if (tally.skipped > 0) notes.push(`${tally.skipped} skipped`);
  if (tally.repeats.length > 0) {
    const same = tally.repeats.filter(({ first, again }) => first === again).length;
    notes.push(
      `${tally.repeats.length} repeats (a rater's later votes on an item) are not counted; ${same} say the same as the first`,
    );
  }
  notes.push(verdictText(verdictSentence(verdict), "en"));
  return { verdict, notes };
}

/** The command: one JSON object on stdout, the sentence on stderr. Exit codes: 0; 2 where the file is wrong. */
export async function verdictCommand(args: readonly string[], say: (line: string) => void): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} });
  const [path, ...rest] = positionals;
  if (path === undefined || rest.length > 0) {
    say("nagi: verdict takes one file of votes: nagi verdict VOTES.jsonl");
    return 2;
  }
  const { verdict, notes } = await readVerdict(path);
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
  for (const note of notes) say(`nagi: ${note}`);
  return 0;
}
