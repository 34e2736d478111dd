/** A rater's side of a live session, for the page behind its link. */
import { joinLive, type LiveRater } from "../clients/live";
import { liveRaters, loadRaterName, saveRaterName } from "../persist/live";

export type { LiveNotice, LiveRater } from "../clients/live";

/** Joins under a name and remembers it for a reload. Rejects with a NagiError, see `joinLive`. */
export async function joinAs(code: string, rater: string): Promise<LiveRater> {
  const source = await joinLive({ code, rater, kept: liveRaters });
  await saveRaterName(code, rater);
  return source;
}

/** Comes back under the name of before; null where there is none. Rejects as `joinAs`. */
export async function rejoin(code: string): Promise<LiveRater | null> {
  const name = await loadRaterName(code);
  return name === null ? null : joinAs(code, name);
}

/** The next reload asks for a name. Votes and the name's secret stay. */
export async function leaveAs(code: string): Promise<void> {
  await saveRaterName(code, null);
}
