/** The host's side of a live session: makes it or comes back to it, hears of every vote, fetches them. */
import { NagiError } from "../shared/errors";
import {
  type HostMessage,
  type HostReply,
  hostReply,
  LIVE_HOST_PATH,
  type RaterAnswers,
  type RaterProgress,
  RELAY_INFO_PATH,
  relayInfo,
} from "../shared/protocol/live";
import type { RatingSession } from "../shared/protocol/rating";
import { type LinkOptions, LiveLink, unreachable } from "./live-link";

export interface LiveState {
  readonly online: boolean;
  readonly code: string;
  /** Votes are taken. */
  readonly open: boolean;
  /** Addresses of the server as raters reach it, best first. */
  readonly addresses: readonly string[];
  readonly raters: readonly RaterProgress[];
  /** Set once it is over for good. */
  readonly problem: NagiError | null;
}

export interface LiveHost {
  /** Told now and at every change. */
  watch(listener: (state: LiveState) => void): () => void;
  /** All votes so far. Rejects with live.unreachable while the relay is away. */
  collect(): Promise<RaterAnswers[]>;
  /** Closes the session to votes, or opens it again. */
  setOpen(open: boolean): Promise<void>;
  /** Deletes the session and its votes from the relay. */
  forget(): Promise<void>;
  /** Leaves; the session stays live. */
  end(): void;
}

type WithoutId<T> = T extends unknown ? Omit<T, "request_id"> : never;
type Request = WithoutId<HostMessage>;

/** Throws live.no_relay where the page's server relays nothing. */
async function requireRelay(base: string): Promise<void> {
  let found = false;
  try {
    const response = await fetch(new URL(RELAY_INFO_PATH, base));
    found = relayInfo.safeParse(await response.json()).data?.relay ?? false;
  } catch (cause) {
    // A server that answers with a page, or none.
    if (!(cause instanceof SyntaxError)) throw unreachable();
  }
  if (!found)
    throw new NagiError(
      "live.no_relay",
      "This server does not relay live ratings. Start it with npm start -- --relay and open its address.",
    );
}

/** Makes the session live; again with the same key: finds it. Rejects also with live.no_relay, live.hosts_local, live.full. */
export async function hostLive(session: RatingSession, host_key: string, options: LinkOptions = {}): Promise<LiveHost> {
  await requireRelay(options.base ?? globalThis.location.href);
  return connect({ type: "host", session, host_key }, { type: "attach", session_id: session.id, host_key }, options);
}

/** Comes back to a session that was made live. Rejects with live.not_live where the relay does not have it. */
export async function attachLive(session_id: string, host_key: string, options: LinkOptions = {}): Promise<LiveHost> {
  await requireRelay(options.base ?? globalThis.location.href);
  const attach: Request = { type: "attach", session_id, host_key };
  return connect(attach, attach, options);
}

function connect(first: Request, again: Request, options: LinkOptions): Promise<LiveHost> {
  return new Promise((resolve, reject) => {
    const host = new Host(first, again, options, {
      hosted: () => resolve(host),
      refused: (error) => {
        host.end();
        reject(error);
      },
    });
  });
}

interface First {
  hosted(): void;
  refused(error: NagiError): void;
}

class Host implements LiveHost {
  readonly #link: LiveLink<Request, HostReply>;
  readonly #watchers = new Set<(state: LiveState) => void>();
  #state: LiveState = { online: false, code: "", open: true, addresses: [], raters: [], problem: null };
  #met = false;

  constructor(
    private readonly firstRequest: Request,
    private readonly again: Request,
    options: LinkOptions,
    private readonly first: First,
  ) {
    this.#link = new LiveLink(
      LIVE_HOST_PATH,
      hostReply,
      {
        greet: () => this.#greet(),
        online: (online) => this.#online(online),
        push: (reply) => {
          if (reply.type === "progress") this.#change({ open: reply.open, raters: reply.raters });
        },
        failed: (problem) => {
          if (!this.#met) this.first.refused(problem);
          this.#change({ online: false, problem });
        },
      },
      options,
    );
  }

  watch(listener: (state: LiveState) => void): () => void {
    this.#watchers.add(listener);
    listener(this.#state);
    return () => void this.#watchers.delete(listener);
  }

  async collect(): Promise<RaterAnswers[]> {
    const reply = await this.#link.request({ type: "collect" });
    return reply.type === "votes" ? reply.raters : [];
  }

  async setOpen(open: boolean): Promise<void> {
    await this.#link.request({ type: "open", open });
  }

  async forget(): Promise<void> {
    await this.#link.request({ type: "forget" });
    this.end();
  }

  end(): void {
    this.#link.end();
  }

  async #greet(): Promise<void> {
    const reply = await this.#link.request(this.#met ? this.again : this.firstRequest);
    if (reply.type !== "hosted") throw new NagiError("internal", "The relay answered something else to host.");
    this.#met = true;
    const { code, open, addresses } = reply;
    this.#change({ code, open, addresses });
  }

  #online(online: boolean): void {
    this.#change({ online });
    if (online) this.first.hosted();
    else if (!this.#met) this.first.refused(unreachable());
  }

  #change(part: Partial<LiveState>): void {
    this.#state = { ...this.#state, ...part };
    for (const listener of this.#watchers) listener(this.#state);
  }
}
