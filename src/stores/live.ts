/**
 * Live ratings that this browser hosts: their state at the relay, and the votes as they come in. A link stays while the
 * studio is open, whichever screen is shown; after a reload `resume` takes it up again.
 *
 * Usage:
 *   const side = useLive((s) => s.sides[ratingId]);               // undefined: not looked yet, or never live
 *   useLive.getState().resume(ratingId);                          // when its screen is shown
 *   await useLive.getState().start(ratingId);
 * Actions never reject: what went wrong is in `side.error`.
 */
import { create } from "zustand";
import { attachLive, hostLive, type LiveHost, type LiveState, newSecret } from "../clients/live";
import { forgetHostKey, loadHostKey, saveHostKey } from "../persist/live";
import { type ErrorData, toErrorData } from "../shared/errors";
import { useRatings } from "./ratings";

export interface LiveSide {
  /** null: not live. */
  readonly state: LiveState | null;
  readonly busy: boolean;
  readonly error: ErrorData | null;
  /** When the votes were last fetched; milliseconds since the Unix epoch. */
  readonly collected: number | null;
  /** Raters whose live votes are not taken, since the session has votes of that name that came another way. */
  readonly conflicts: readonly string[];
}

export interface LiveStore {
  readonly sides: Readonly<Record<string, LiveSide>>;
  resume(ratingId: string): void;
  start(ratingId: string): Promise<void>;
  setOpen(ratingId: string, open: boolean): Promise<void>;
  /** Fetches all votes once more, then deletes the session from the relay. */
  forget(ratingId: string): Promise<void>;
  collect(ratingId: string): Promise<void>;
}

const NOTHING: LiveSide = { state: null, busy: false, error: null, collected: null, conflicts: [] };

/** Milliseconds after a vote until all are fetched: votes of a lively evening come together. */
const COLLECT_AFTER = 500;

interface Hosting {
  readonly host: LiveHost;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Votes as last told, so that coming and going fetches nothing. */
  votes: string;
}

export const useLive = create<LiveStore>()((set, get) => {
  const hosting = new Map<string, Hosting>();
  const looked = new Set<string>();

  const change = (id: string, part: Partial<LiveSide>): void =>
    set(({ sides }) => ({ sides: { ...sides, [id]: { ...(sides[id] ?? NOTHING), ...part } } }));

  const act = async (id: string, action: () => Promise<void>): Promise<void> => {
    if (get().sides[id]?.busy) return;
    change(id, { busy: true, error: null });
    try {
      await action();
    } catch (error) {
      change(id, { error: toErrorData(error) });
    } finally {
      change(id, { busy: false });
    }
  };

  const fetchVotes = async (id: string): Promise<void> => {
    const { host } = hosting.get(id) ?? {};
    if (host === undefined) return;
    const conflicts: string[] = [];
    for (const { rater, answers } of await host.collect()) {
      try {
        await useRatings.getState().takeVotes(id, rater, answers, "live");
      } catch (error) {
        if (toErrorData(error).code !== "rating.duplicate") throw error;
        conflicts.push(rater);
      }
    }
    change(id, { collected: Date.now(), conflicts });
  };

  const leave = (id: string): void => {
    const one = hosting.get(id);
    hosting.delete(id);
    clearTimeout(one?.timer);
    one?.host.end();
  };

  const follow = (id: string, host: LiveHost): void => {
    leave(id);
    const one: Hosting = { host, timer: undefined, votes: "" };
    hosting.set(id, one);
    host.watch((state) => {
      if (hosting.get(id) !== one) return;
      if (state.problem !== null) {
        // Gone from the relay: what was fetched stays, and it can be made live again.
        leave(id);
        change(id, { state: null, error: toErrorData(state.problem) });
        return;
      }
      change(id, { state });
      const votes = JSON.stringify(state.raters.map(({ rater, done }) => [rater, done]));
      if (!state.online || votes === one.votes) return;
      one.votes = votes;
      clearTimeout(one.timer);
      one.timer = setTimeout(() => {
        fetchVotes(id).catch((error: unknown) => {
          // Cut: the next connection tells the votes again.
          one.votes = "";
          if (toErrorData(error).code !== "live.unreachable") change(id, { error: toErrorData(error) });
        });
      }, COLLECT_AFTER);
    });
  };

  return {
    sides: {},
    resume(id) {
      if (looked.has(id)) return;
      looked.add(id);
      void act(id, async () => {
        const key = await loadHostKey(id);
        if (key !== null) follow(id, await attachLive(id, key));
      });
    },
    start: (id) =>
      act(id, async () => {
        const session = useRatings.getState().ratings[id]?.record.session;
        if (session === undefined) return;
        const key = (await loadHostKey(id)) ?? newSecret();
        // Before the relay hears of it: an answer that is lost on the way must not lose the session.
        await saveHostKey(id, key);
        follow(id, await hostLive(session, key));
      }),
    setOpen: (id, open) => act(id, async () => hosting.get(id)?.host.setOpen(open)),
    collect: (id) => act(id, () => fetchVotes(id)),
    forget: (id) =>
      act(id, async () => {
        await fetchVotes(id);
        await hosting.get(id)?.host.forget();
        await forgetHostKey(id);
        leave(id);
        change(id, { state: null });
      }),
  };
});
