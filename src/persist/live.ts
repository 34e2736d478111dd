/**
 * What live sessions need after a reload, in IndexedDB: a rater's secret and unsent votes, a host's keys. A browser that
 * forbids IndexedDB (private windows) keeps them for the visit only.
 */
import { del, get, set } from "idb-keyval";
import { z } from "zod";
import { liveSecret } from "../shared/protocol/live";
import { blindVote } from "../shared/protocol/rating";

const keptRater = z.object({
  secret: liveSecret,
  unsent: z.array(z.tuple([z.int().min(0), blindVote.nullable()])),
});

export type StoredRater = z.infer<typeof keptRater>;

const memory = new Map<string, unknown>();

async function load(key: string): Promise<unknown> {
  if (memory.has(key)) return memory.get(key);
  try {
    return await get(key);
  } catch {
    return undefined;
  }
}

async function save(key: string, value: unknown): Promise<boolean> {
  try {
    await set(key, value);
    memory.delete(key);
    return true;
  } catch {
    memory.set(key, value);
    return false;
  }
}

const raterKey = (code: string, rater: string): string => `nagi/live/rater/${code}/${rater}`;
const hostKey = (sessionId: string): string => `nagi/live/host/${sessionId}`;
const nameKey = (code: string): string => `nagi/live/name/${code}`;

/** What `joinLive` of clients/live.ts keeps. */
export const liveRaters = {
  async load(code: string, rater: string): Promise<StoredRater | null> {
    return keptRater.safeParse(await load(raterKey(code, rater))).data ?? null;
  },
  /** @returns whether it will still be there after a reload */
  save(code: string, rater: string, kept: StoredRaterInput): Promise<boolean> {
    return save(raterKey(code, rater), { secret: kept.secret, unsent: [...kept.unsent] });
  },
};

interface StoredRaterInput {
  readonly secret: string;
  readonly unsent: readonly (readonly [number, StoredRater["unsent"][number][1]])[];
}

/** The key with which a session was made live from this browser; null: it was not. */
export async function loadHostKey(sessionId: string): Promise<string | null> {
  return liveSecret.safeParse(await load(hostKey(sessionId))).data ?? null;
}

export function saveHostKey(sessionId: string, key: string): Promise<boolean> {
  return save(hostKey(sessionId), key);
}

export async function forgetHostKey(sessionId: string): Promise<void> {
  memory.delete(hostKey(sessionId));
  try {
    await del(hostKey(sessionId));
  } catch {
    // Never kept.
  }
}

/** Under which name this browser takes part in a session; null: it does not, or does so no more. */
export async function loadRaterName(code: string): Promise<string | null> {
  return (
    z
      .string()
      .min(1)
      .safeParse(await load(nameKey(code))).data ?? null
  );
}

export function saveRaterName(code: string, name: string | null): Promise<boolean> {
  return save(nameKey(code), name);
}
