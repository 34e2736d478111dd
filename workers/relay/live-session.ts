/**
 * One live session: its raters and their votes, in memory and in a folder. `session.json` is what the host sent,
 * `votes.jsonl` what happened since; a change is in memory, and told to anyone, only once it is in the file.
 */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { NagiError } from "../../src/shared/errors";
import { liveCode, type RaterAnswers, type RaterProgress, showCode } from "../../src/shared/protocol/live";
import { type BlindVote, blindVote, type RaterPage, ratingSession } from "../../src/shared/protocol/rating";
import { pageFor } from "../../src/shared/ratings/plan";
import { checkSession, showingsOf } from "../../src/shared/ratings/session";
import { Journal } from "./journal";
import { hashSecret, sameHash } from "./secrets";
import { storageError } from "./storage";

/** Raters of a session, at most. */
const MAX_RATERS = 500;
/** Votes and undone votes of a rater, at most: this many, and so many for each showing. */
const MAX_CHANGES = 1000;
const MAX_CHANGES_PER_SHOWING = 20;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const stored = z.strictObject({ code: liveCode, host_sha256: sha256, session: ratingSession });

const entry = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("rater"), rater: z.string(), secret_sha256: sha256, time: z.number() }),
  z.strictObject({ type: z.literal("vote"), rater: z.string(), vote: blindVote, time: z.number() }),
  z.strictObject({ type: z.literal("undo"), rater: z.string(), number: z.int(), time: z.number() }),
  z.strictObject({ type: z.literal("open"), open: z.boolean(), time: z.number() }),
]);

type Stored = z.infer<typeof stored>;
type Entry = z.infer<typeof entry>;

interface Rater {
  readonly name: string;
  readonly secret_sha256: string;
  readonly answers: Map<number, BlindVote>;
  changes: number;
}

/** Someone's open page. */
export interface Presence {
  /** The same rater came in elsewhere. */
  replaced(): void;
  state(open: boolean): void;
  /** The session was deleted. */
  gone(): void;
}

const SESSION_FILE = "session.json";
const VOTES_FILE = "votes.jsonl";

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export class LiveSession {
  #open = true;
  #gone = false;
  readonly #raters = new Map<string, Rater>();
  readonly #present = new Map<string, Presence>();
  readonly #watchers = new Set<() => void>();

  private constructor(
    private readonly folder: string,
    private readonly stored: Stored,
    private readonly journal: Journal,
  ) {}

  /** Writes a session that nobody has joined. Throws rating.invalid, storage.quota, storage.unavailable. */
  static async create(folder: string, content: Stored): Promise<LiveSession> {
    checkSession(content.session);
    const fresh = join(dirname(folder), `.new-${content.code}`);
    try {
      await rm(fresh, { recursive: true, force: true });
      await mkdir(fresh, { mode: 0o700 });
      const file = await open(join(fresh, SESSION_FILE), "w", 0o600);
      try {
        await file.writeFile(JSON.stringify(content));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, folder);
      await syncFolder(dirname(folder));
      return await LiveSession.load(folder);
    } catch (error) {
      throw storageError(folder, error);
    }
  }

  /** Reads a session back. Throws SyntaxError, a ZodError or what the file system throws. */
  static async load(folder: string): Promise<LiveSession> {
    const content = stored.parse(JSON.parse(await readFile(join(folder, SESSION_FILE), "utf8")));
    const { journal, lines } = await Journal.open(join(folder, VOTES_FILE));
    try {
      await syncFolder(folder);
      const live = new LiveSession(folder, content, journal);
      for (const line of lines) live.#apply(entry.parse(line));
      return live;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  get code(): string {
    return this.stored.code;
  }

  get sessionId(): string {
    return this.stored.session.id;
  }

  get hostHash(): string {
    return this.stored.host_sha256;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Whether it was made of this very session. */
  holds(session: Stored["session"]): boolean {
    return JSON.stringify(ratingSession.parse(session)) === JSON.stringify(this.stored.session);
  }

  /** Showings of a rater. */
  get showings(): number {
    return showingsOf(this.stored.session) + this.stored.session.repeats;
  }

  pageFor(rater: string): RaterPage {
    return pageFor(this.stored.session, rater);
  }

  answersOf(rater: string): BlindVote[] {
    return [...(this.#raters.get(rater)?.answers.values() ?? [])].sort((a, b) => a.number - b.number);
  }

  /** Whether somebody has joined under this name with this secret. */
  knows(name: string, secret: string): boolean {
    return sameHash(this.#raters.get(name)?.secret_sha256 ?? "", hashSecret(secret));
  }

  /**
   * Lets a rater in: a name nobody has, or whose secret this is. Throws live.name_taken, live.full, live.closed (new names
   * only), storage errors.
   */
  async join(name: string, secret: string): Promise<void> {
    const secret_sha256 = hashSecret(secret);
    const known = this.#raters.get(name);
    if (known === undefined) {
      this.#refuseWhereClosed();
      if (this.#raters.size >= MAX_RATERS) throw full("raters of a session", MAX_RATERS);
      // Two at once: whose line is first has the name.
      await this.#record({ type: "rater", rater: name, secret_sha256, time: Date.now() });
    }
    if (!this.knows(name, secret))
      throw new NagiError(
        "live.name_taken",
        `"${name}" takes part on another device. Take another name, or open the link where you used this one.`,
        { rater: name },
      );
  }

  /** The rater's page is open. Returns what ends it. */
  enter(rater: string, presence: Presence): () => void {
    this.#present.get(rater)?.replaced();
    this.#present.set(rater, presence);
    this.#changed();
    return () => {
      if (this.#present.get(rater) !== presence) return;
      this.#present.delete(rater);
      this.#changed();
    };
  }

  /** Resolves once the vote is on the disk. Throws live.closed, live.bad_vote, live.full, storage errors. */
  async vote(rater: string, vote: BlindVote): Promise<void> {
    const { allow_tie, allow_both_bad } = this.stored.session;
    const problem =
      vote.number >= this.showings
        ? `there are ${this.showings} showings, from 0`
        : vote.choice === "tie" && !allow_tie
          ? "this session allows no ties"
          : vote.choice === "both_bad" && !allow_both_bad
            ? 'this session does not allow "both bad"'
            : null;
    if (problem !== null)
      throw new NagiError("live.bad_vote", `vote on number ${vote.number}: ${problem}. Reload the page.`, {
        number: vote.number,
        problem,
      });
    const kept = this.#raters.get(rater)?.answers.get(vote.number);
    // Sent again after a cut connection.
    if (kept?.choice === vote.choice && kept.ms === vote.ms) return;
    await this.#change(rater, { type: "vote", rater, vote, time: Date.now() });
  }

  /** Takes a vote back; nothing where there is none. Throws as `vote`. */
  async undo(rater: string, number: number): Promise<void> {
    if (!this.#raters.get(rater)?.answers.has(number)) return;
    await this.#change(rater, { type: "undo", rater, number, time: Date.now() });
  }

  /** Closes the session to votes, or opens it again. */
  async setOpen(value: boolean): Promise<void> {
    if (value === this.#open) return;
    await this.#record({ type: "open", open: value, time: Date.now() });
    for (const presence of this.#present.values()) presence.state(value);
  }

  progress(): RaterProgress[] {
    const of = this.showings;
    return [...this.#raters.values()].map(({ name, answers }) => ({
      rater: name,
      done: answers.size,
      of,
      online: this.#present.has(name),
    }));
  }

  collect(): RaterAnswers[] {
    return [...this.#raters.keys()].map((rater) => ({ rater, answers: this.answersOf(rater) }));
  }

  /** Told after every change. Returns a function that ends it. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  /** Deletes it from the disk and sends everybody away. */
  async remove(): Promise<void> {
    this.#gone = true;
    for (const presence of this.#present.values()) presence.gone();
    await this.journal.close();
    const gone = join(dirname(this.folder), `.gone-${this.code}`);
    // Half a deletion must not come back as a session without votes.
    await rename(this.folder, gone);
    await rm(gone, { recursive: true, force: true });
  }

  close(): Promise<void> {
    return this.journal.close();
  }

  #refuseWhereClosed(): void {
    if (!this.#open) throw new NagiError("live.closed", "The host has closed this rating: no more votes are taken.");
  }

  async #change(rater: string, change: Entry): Promise<void> {
    this.#refuseWhereClosed();
    const most = MAX_CHANGES + MAX_CHANGES_PER_SHOWING * this.showings;
    if ((this.#raters.get(rater)?.changes ?? most) >= most) throw full("votes and undone votes of a rater", most);
    await this.#record(change);
  }

  async #record(change: Entry): Promise<void> {
    if (this.#gone) throw unknownCode(this.code);
    try {
      await this.journal.append(change);
    } catch (error) {
      throw storageError(join(this.folder, VOTES_FILE), error);
    }
    this.#apply(change);
    this.#changed();
  }

  #apply(change: Entry): void {
    if (change.type === "open") {
      this.#open = change.open;
      return;
    }
    const known = this.#raters.get(change.rater);
    if (change.type === "rater") {
      const { rater: name, secret_sha256 } = change;
      if (known === undefined) this.#raters.set(name, { name, secret_sha256, answers: new Map(), changes: 0 });
      return;
    }
    if (known === undefined) throw new SyntaxError(`a vote of "${change.rater}", who has not joined`);
    known.changes++;
    if (change.type === "vote") known.answers.set(change.vote.number, change.vote);
    else known.answers.delete(change.number);
  }

  #changed(): void {
    for (const listener of this.#watchers) listener();
  }
}

export function unknownCode(code: string): NagiError {
  const shown = showCode(code);
  return new NagiError("live.unknown_code", `No live rating has the code "${shown}". Check the link or the code.`, {
    code: shown,
  });
}

export const full = (what: string, limit: number): NagiError =>
  new NagiError("live.full", `The relay takes no more ${what}: the limit is ${limit}.`, { what, limit });
