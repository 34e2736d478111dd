/**
 * Live rating sessions over the relay: a rater's page as a RaterSource, and the host's side. Votes are kept here until the
 * relay has them on its disk, so a rater goes on through a tunnel, and a closed tab loses nothing.
 */
import { NagiError } from "../shared/errors";
import { LIVE_PATH, type RaterMessage, type RaterReply, raterReply, showCode } from "../shared/protocol/live";
import type { BlindVote, RaterPage } from "../shared/protocol/rating";
import type { RaterLink, RaterSource, RaterState } from "../shared/ratings/rater-source";
import { type LinkOptions, LiveLink, unreachable } from "./live-link";

export { attachLive, hostLive, type LiveHost, type LiveState } from "./live-host";
export type { LinkOptions, OpenSocket, Socket, SocketEvents } from "./live-link";

/** What a rater's browser keeps of a session: the secret that the name belongs to, and what is not with the relay yet. */
export interface KeptRater {
  readonly secret: string;
  /** Showing to vote, or null where a vote is taken back. */
  readonly unsent: readonly (readonly [number: number, vote: BlindVote | null])[];
}

export interface KeptRaters {
  load(code: string, rater: string): Promise<KeptRater | null>;
  /** Whether it will still be there after a reload. */
  save(code: string, rater: string, kept: KeptRater): Promise<boolean>;
}

export interface LiveRater extends RaterSource {
  watch(listener: (link: RaterLink) => void): () => void;
  /** Told when the host closes or opens the session, and when this page can no longer take part. */
  notices(listener: (notice: LiveNotice) => void): () => void;
  end(): void;
}

export interface LiveNotice {
  readonly open: boolean;
  /** Set once this page is out for good. */
  readonly problem: NagiError | null;
}

type Change = BlindVote | null;
type WithoutId<T> = T extends unknown ? Omit<T, "request_id"> : never;
type Request = WithoutId<RaterMessage>;

/** 256 random bits in hex. Works on plain http, too, where crypto.randomUUID does not. */
export function newSecret(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export interface JoinOptions extends LinkOptions {
  /** As `readCode` gives it. */
  readonly code: string;
  /** As `raterNameOf` gives it. */
  readonly rater: string;
  readonly kept: KeptRaters;
}

/**
 * Joins a session, or comes back to it. Rejects with live.unknown_code, live.name_taken, live.too_many_tries, live.closed,
 * live.full, and with live.unreachable where the relay does not answer: later cuts are bridged.
 */
export async function joinLive(options: JoinOptions): Promise<LiveRater> {
  const { code, rater, kept } = options;
  const known = await kept.load(code, rater);
  const secret = known?.secret ?? newSecret();
  // Before the relay hears of it: an answer that is lost on the way must not lock the name.
  const durable = await kept.save(code, rater, { secret, unsent: known?.unsent ?? [] });
  return new Promise((resolve, reject) => {
    const source = new Source(options, secret, known?.unsent ?? [], durable, {
      joined: () => resolve(source),
      refused: (error) => {
        source.end();
        reject(error);
      },
    });
  });
}

interface First {
  joined(): void;
  refused(error: NagiError): void;
}

class Source implements LiveRater {
  readonly #link: LiveLink<Request, RaterReply>;
  readonly #unsent: Map<number, Change>;
  readonly #onTheWay = new Map<number, Change>();
  /** Waits for the relay, where this browser cannot keep a vote. */
  readonly #waiting = new Map<number, { resolve(): void; reject(error: NagiError): void }[]>();
  readonly #watchers = new Set<(link: RaterLink) => void>();
  readonly #listeners = new Set<(notice: LiveNotice) => void>();
  #page: RaterPage | null = null;
  readonly #answers = new Map<number, BlindVote>();
  #open = true;
  #problem: NagiError | null = null;

  constructor(
    private readonly options: JoinOptions,
    private readonly secret: string,
    unsent: KeptRater["unsent"],
    private durable: boolean,
    private readonly first: First,
  ) {
    this.#unsent = new Map(unsent);
    this.#link = new LiveLink(
      LIVE_PATH,
      raterReply,
      {
        greet: () => this.#greet(),
        online: (value) => this.#online(value),
        push: (reply) => {
          if (reply.type === "state") this.#setOpen(reply.open);
        },
        failed: (error) => this.#fail(error),
      },
      options,
    );
  }

  state(): Promise<RaterState> {
    if (this.#page === null) return Promise.reject(unreachable());
    const answers = new Map(this.#answers);
    for (const [number, change] of this.#unsent) {
      if (change === null) answers.delete(number);
      else answers.set(number, change);
    }
    return Promise.resolve({ page: this.#page, answers: [...answers.values()].sort((a, b) => a.number - b.number) });
  }

  vote(vote: BlindVote): Promise<void> {
    return this.#change(vote.number, vote);
  }

  undo(number: number): Promise<void> {
    return this.#change(number, null);
  }

  watch(listener: (link: RaterLink) => void): () => void {
    this.#watchers.add(listener);
    listener(this.#state());
    return () => void this.#watchers.delete(listener);
  }

  notices(listener: (notice: LiveNotice) => void): () => void {
    this.#listeners.add(listener);
    listener({ open: this.#open, problem: this.#problem });
    return () => void this.#listeners.delete(listener);
  }

  end(): void {
    this.#link.end();
  }

  async #greet(): Promise<void> {
    const { code, rater } = this.options;
    const reply = await this.#link.request({
      type: "join",
      code,
      rater,
      rater_secret: this.secret,
      with_page: this.#page === null,
    });
    if (reply.type !== "joined") throw new NagiError("internal", "The relay answered something else to join.");
    this.#page = reply.page ?? this.#page;
    this.#answers.clear();
    for (const answer of reply.answers) this.#answers.set(answer.number, answer);
    this.#setOpen(reply.open);
  }

  #online(value: boolean): void {
    this.#onTheWay.clear();
    if (value) {
      this.first.joined();
      this.#send();
    } else if (this.#page === null) this.first.refused(unreachable());
    this.#tell();
  }

  #setOpen(open: boolean): void {
    this.#open = open;
    this.#notify();
    if (open && this.#link.ready) this.#send();
  }

  async #change(number: number, change: Change): Promise<void> {
    if (this.#problem !== null) throw this.#problem;
    if (!this.#open) throw new NagiError("live.closed", "The host has closed this rating: no more votes are taken.");
    this.#unsent.set(number, change);
    this.#tell();
    const taken = new Promise<void>((resolve, reject) => {
      this.#waiting.set(number, [...(this.#waiting.get(number) ?? []), { resolve, reject }]);
    });
    // A refusal is also told by `notices`.
    taken.catch(() => undefined);
    this.#send();
    if (!(await this.#keep())) await taken;
  }

  async #keep(): Promise<boolean> {
    const { code, rater, kept } = this.options;
    this.durable = await kept.save(code, rater, { secret: this.secret, unsent: [...this.#unsent] });
    return this.durable;
  }

  #send(): void {
    if (!this.#link.ready || !this.#open) return;
    for (const [number, change] of this.#unsent) {
      if (this.#onTheWay.has(number)) continue;
      this.#onTheWay.set(number, change);
      const message: Request = change === null ? { type: "undo", number } : { type: "vote", vote: change };
      this.#link.request(message).then(
        () => this.#taken(number, change, null),
        (error: unknown) => {
          // A cut is answered by the next connection, a closed session by its opening.
          const code = error instanceof NagiError ? error.code : "internal";
          if (code === "live.unreachable") return;
          this.#onTheWay.delete(number);
          if (code === "live.closed") this.#setOpen(false);
          else if (error instanceof NagiError) this.#taken(number, change, error);
        },
      );
    }
  }

  /** The relay has it, or will never take it. */
  #taken(number: number, change: Change, refused: NagiError | null): void {
    this.#onTheWay.delete(number);
    if (refused === null) {
      if (change === null) this.#answers.delete(number);
      else this.#answers.set(number, change);
    }
    // Changed again meanwhile: that is still to be sent.
    if (this.#unsent.get(number) === change) {
      this.#unsent.delete(number);
      for (const { resolve, reject } of this.#waiting.get(number) ?? []) refused === null ? resolve() : reject(refused);
      this.#waiting.delete(number);
      void this.#keep();
    } else this.#send();
    if (refused !== null) this.#notify(refused);
    this.#tell();
  }

  #fail(told: NagiError): void {
    // Where the session was deleted, only the close code says so.
    const error =
      told.code === "live.unknown_code"
        ? new NagiError(told.code, told.message, { code: showCode(this.options.code) })
        : told;
    if (this.#page === null) this.first.refused(error);
    this.#problem = error;
    for (const waiting of this.#waiting.values()) for (const { reject } of waiting) reject(error);
    this.#waiting.clear();
    this.#notify();
    this.#tell();
  }

  #state(): RaterLink {
    return { online: this.#link.ready, unsent: this.#unsent.size };
  }

  #tell(): void {
    for (const listener of this.#watchers) listener(this.#state());
  }

  #notify(problem: NagiError | null = this.#problem): void {
    for (const listener of this.#listeners) listener({ open: this.#open, problem });
  }
}
