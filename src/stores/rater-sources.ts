/** A rater's page in this browser: over a session that is hosted here, or over a bundle that was opened here. */
import { loadBundle, loadRatings, putBundleVote, putVote } from "../persist/ratings";
import { NagiError } from "../shared/errors";
import type { RatingRecord } from "../shared/protocol/rating-files";
import { pageFor, planShowings } from "../shared/ratings/plan";
import type { RaterSource, ShownRewards } from "../shared/ratings/rater-source";
import { useRatings } from "./ratings";

function recordOf(id: string): RatingRecord {
  const rating = useRatings.getState().ratings[id];
  if (rating !== undefined) return rating.record;
  throw new NagiError("rating.not_found", `There is no rating session ${id} in this browser.`, { id });
}

/** In turn on the host's machine, under a name. */
export function localSource(id: string, rater: string): RaterSource {
  const put: (number: number, vote: Parameters<RaterSource["vote"]>[0] | null) => Promise<void> = async (
    number,
    vote,
  ) => {
    const known = useRatings.getState().ratings[id]?.votes.find((one) => one.rater === rater);
    if (known !== undefined && known.source !== "turn")
      throw new NagiError(
        "rating.duplicate",
        `${rater}: votes under this name came by ${known.source}. Rate under another name.`,
        { file: rater, rater },
      );
    const fresh = { session: id, rater, source: "turn" as const, answers: [] };
    useRatings.getState().follow(await putVote(fresh, number, vote));
  };
  return {
    async state() {
      const { votes } = await loadRatings();
      const own = votes.find((one) => one.session === id && one.rater === rater);
      return { page: pageFor(recordOf(id).session, rater), answers: own?.answers ?? [] };
    },
    vote: (vote) => put(vote.number, vote),
    undo: (number) => put(number, null),
    ...(recordOf(id).session.hide_reward ? {} : { rewards: (number) => Promise.resolve(rewardsOf(id, rater, number)) }),
  };
}

function rewardsOf(id: string, rater: string, number: number): ShownRewards {
  const { session } = recordOf(id);
  const shown = planShowings(session, rater)[number];
  const texts = session.items.find(({ item }) => item === shown?.item)?.texts ?? [];
  const of = (model: string | undefined) => texts.find((text) => text.model === model)?.rewards ?? {};
  return { left: of(shown?.left), right: of(shown?.right) };
}

/** From a bundle file that was opened here. */
export function bundleSource(digest: string): RaterSource {
  return {
    async state() {
      const opened = await loadBundle(digest);
      if (opened === null)
        throw new NagiError("rating.not_found", `There is no bundle ${digest} in this browser.`, { id: digest });
      return { page: opened.bundle.page, answers: opened.answers };
    },
    async vote(vote) {
      useRatings.getState().followBundle(await putBundleVote(digest, vote.number, vote));
    },
    async undo(number) {
      useRatings.getState().followBundle(await putBundleVote(digest, number, null));
    },
  };
}
