/**
 * Rating sessions, votes and opened bundles in IndexedDB, a database of their own. A vote is written in one transaction
 * that adds it to the rater's others, so two tabs never overwrite each other, and it is on the disk when the call resolves.
 * What cannot be read (another version wrote it) is not listed and not deleted.
 */
import { createStore, del, entries, get, keys, set, type UseStore, update } from "idb-keyval";
import { NagiError } from "../shared/errors";
import type { BlindVote } from "../shared/protocol/rating";
import {
  type OpenedBundle,
  openedBundle,
  type RaterVotes,
  type RatingRecord,
  raterVotes,
  ratingRecord,
} from "../shared/protocol/rating-files";

const SESSION = "session/";
const VOTES = "votes/";
const BUNDLE = "bundle/";

let opened: UseStore | undefined;
const store = (): UseStore => {
  opened ??= createStore("nagi-ratings", "ratings");
  return opened;
};

const votesKey = (session: string, rater: string): string => `${VOTES}${session}/${rater}`;

/** The channel on which tabs tell each other that something has changed. */
const CHANNEL = "nagi/ratings";

export interface StoredRatings {
  readonly records: readonly RatingRecord[];
  readonly votes: readonly RaterVotes[];
  /** By `bundle.digest`. */
  readonly bundles: ReadonlyMap<string, OpenedBundle>;
}

export async function loadRatings(): Promise<StoredRatings> {
  const records: RatingRecord[] = [];
  const votes: RaterVotes[] = [];
  const bundles = new Map<string, OpenedBundle>();
  for (const [key, value] of await safely(() => entries<string, unknown>(store()))) {
    if (key.startsWith(SESSION)) keep(ratingRecord.safeParse(value), (one) => records.push(one));
    else if (key.startsWith(VOTES)) keep(raterVotes.safeParse(value), (one) => votes.push(one));
    else if (key.startsWith(BUNDLE)) keep(openedBundle.safeParse(value), (one) => bundles.set(one.bundle.digest, one));
  }
  return { records, votes, bundles };
}

function keep<T>(parsed: { success: true; data: T } | { success: false }, take: (value: T) => void): void {
  if (parsed.success) take(parsed.data);
}

/** Errors: storage.quota, storage.unavailable; so do all that follow. */
export async function saveRecord(record: RatingRecord): Promise<void> {
  await safely(() => set(SESSION + record.session.id, record, store()));
  told();
}

/** With all its votes. Bundles that were opened here stay: they are somebody's work. */
export async function deleteRecord(id: string): Promise<void> {
  await safely(async () => {
    for (const key of await keys<string>(store())) if (key.startsWith(`${VOTES}${id}/`)) await del(key, store());
    await del(SESSION + id, store());
  });
  told();
}

export async function saveVotes(votes: RaterVotes): Promise<void> {
  await safely(() => set(votesKey(votes.session, votes.rater), votes, store()));
  told();
}

export async function deleteVotes(session: string, rater: string): Promise<void> {
  await safely(() => del(votesKey(session, rater), store()));
  told();
}

/**
 * The rater's votes with this one in them (null: without the vote on `number`), as they are now stored.
 * @param fresh what is stored where the rater has no votes yet
 */
export async function putVote(fresh: RaterVotes, number: number, vote: BlindVote | null): Promise<RaterVotes> {
  const key = votesKey(fresh.session, fresh.rater);
  let stored = fresh;
  await safely(() =>
    update<unknown>(
      key,
      (before) => {
        const parsed = raterVotes.safeParse(before);
        const votes = parsed.success ? parsed.data : fresh;
        stored = { ...votes, answers: replaced(votes.answers, number, vote) };
        return stored;
      },
      store(),
    ),
  );
  told();
  return stored;
}

export async function loadBundle(digest: string): Promise<OpenedBundle | null> {
  const parsed = openedBundle.safeParse(await safely(() => get<unknown>(BUNDLE + digest, store())));
  return parsed.success ? parsed.data : null;
}

export async function saveBundle(bundle: OpenedBundle): Promise<void> {
  await safely(() => set(BUNDLE + bundle.bundle.digest, bundle, store()));
  told();
}

export async function deleteBundle(digest: string): Promise<void> {
  await safely(() => del(BUNDLE + digest, store()));
  told();
}

/** As `putVote`, for a bundle that was opened here. Throws rating.not_found {id} where it is gone. */
export async function putBundleVote(digest: string, number: number, vote: BlindVote | null): Promise<OpenedBundle> {
  let stored: OpenedBundle | null = null;
  await safely(() =>
    update<unknown>(
      BUNDLE + digest,
      (before) => {
        const parsed = openedBundle.safeParse(before);
        if (!parsed.success) return before;
        stored = { ...parsed.data, answers: replaced(parsed.data.answers, number, vote) };
        return stored;
      },
      store(),
    ),
  );
  if (stored === null) throw new NagiError("rating.not_found", `There is no bundle ${digest} here.`, { id: digest });
  told();
  return stored;
}

/** One vote a number, in the order of the numbers. */
function replaced(answers: readonly BlindVote[], number: number, vote: BlindVote | null): BlindVote[] {
  const rest = answers.filter((answer) => answer.number !== number);
  return (vote === null ? rest : [...rest, vote]).sort((one, other) => one.number - other.number);
}

/** One object for both directions: a channel does not hear what it says itself. */
let channel: BroadcastChannel | undefined;
function tabs(): BroadcastChannel {
  channel ??= new BroadcastChannel(CHANNEL);
  return channel;
}

const told = (): void => tabs().postMessage(null);

/** Told when another tab has changed something. */
export function watchRatings(listener: () => void): void {
  tabs().onmessage = () => listener();
}

async function safely<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "QuotaExceededError") throw await quota(cause);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NagiError(
      "storage.unavailable",
      `This browser's storage (IndexedDB) refused: ${reason}. Use an ordinary window and allow this site to keep data.`,
      { reason },
      { cause },
    );
  }
}

async function quota(cause: unknown): Promise<NagiError> {
  return new NagiError(
    "storage.quota",
    "The browser's storage is full: nothing of it was kept. Delete runs or artefacts you no longer need and try again.",
    { needed: null, available: await free() },
    { cause },
  );
}

/** Bytes; null where the browser does not say (it does not on a page without TLS). */
async function free(): Promise<number | null> {
  try {
    const { usage = 0, quota: granted = 0 } = await navigator.storage.estimate();
    return Math.max(0, granted - usage);
  } catch {
    return null;
  }
}
