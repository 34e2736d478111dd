/** All live sessions of a relay: by code for raters, by key and session for hosts. A folder each, named by its code. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { CODE_LENGTH, readCode } from "../../src/shared/protocol/live";
import type { RatingSession } from "../../src/shared/protocol/rating";
import { full, LiveSession } from "./live-session";
import { drawCode, hashSecret } from "./secrets";

/** Sessions of a relay, at most. */
const MAX_SESSIONS = 200;

const hostId = (hostHash: string, sessionId: string): string => `${hostHash} ${sessionId}`;

export class LiveSessions {
  readonly #byCode = new Map<string, LiveSession>();
  readonly #byHost = new Map<string, LiveSession>();
  /** Sessions that are being made, so that the same request twice makes one. */
  readonly #making = new Map<string, Promise<LiveSession>>();

  private constructor(private readonly folder: string) {}

  /** Reads what is there. A folder that cannot be read is left as it is and named by `say`. */
  static async open(folder: string, say: (line: string) => void): Promise<LiveSessions> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const sessions = new LiveSessions(folder);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      // Of a creation or a deletion that a crash cut off: nobody was told of it, or everybody was.
      if (/^\.(new|gone)-/.test(name)) await rm(path, { recursive: true, force: true });
      if (readCode(name) !== name) continue;
      try {
        sessions.#add(await LiveSession.load(path));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        say(`nagi: the live rating in ${path} cannot be read and is left as it is: ${reason}`);
      }
    }
    return sessions;
  }

  byCode(code: string): LiveSession | undefined {
    return this.#byCode.get(code);
  }

  byHost(hostKey: string, sessionId: string): LiveSession | undefined {
    return this.#byHost.get(hostId(hashSecret(hostKey), sessionId));
  }

  /** Throws live.full, rating.invalid, storage errors. */
  async create(hostKey: string, session: RatingSession): Promise<LiveSession> {
    const host_sha256 = hashSecret(hostKey);
    const id = hostId(host_sha256, session.id);
    const making = this.#making.get(id);
    if (making !== undefined) return making;
    if (this.#byCode.size + this.#making.size >= MAX_SESSIONS) throw full("live ratings", MAX_SESSIONS);
    let code = drawCode(CODE_LENGTH);
    while (this.#byCode.has(code)) code = drawCode(CODE_LENGTH);
    const made = LiveSession.create(join(this.folder, code), { code, host_sha256, session });
    this.#making.set(id, made);
    try {
      const live = await made;
      this.#add(live);
      return live;
    } finally {
      this.#making.delete(id);
    }
  }

  async remove(live: LiveSession): Promise<void> {
    if (!this.#byCode.delete(live.code)) return;
    this.#byHost.delete(hostId(live.hostHash, live.sessionId));
    await live.remove();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byCode.values()].map((live) => live.close()));
  }

  #add(live: LiveSession): void {
    this.#byCode.set(live.code, live);
    this.#byHost.set(hostId(live.hostHash, live.sessionId), live);
  }
}
