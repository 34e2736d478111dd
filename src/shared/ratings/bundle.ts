/** Rating without a connection: the file that goes to a rater, and the votes that come back. */
import type { z } from "zod";
import { NagiError } from "../errors";
import { hashBytes } from "../protocol/artefact";
import type { BlindVote, RaterPage, RatingSession } from "../protocol/rating";
import { type RaterBundle, type RaterVotesFile, raterBundle, raterVotesFile } from "../protocol/rating-files";
import { pageFor } from "./plan";

/** SHA-256 of everything a rater sees, independent of how it was written. */
export function pageDigest(page: RaterPage): Promise<string> {
  const { session, rater, question, allow_tie, allow_both_bad, showings } = page;
  const shown = showings.map(({ number, prompt, left, right }) => [number, prompt, left, right]);
  const text = JSON.stringify([session, rater, question, allow_tie, allow_both_bad, shown]);
  return hashBytes(new TextEncoder().encode(text));
}

/** The bundle of one rater. Throws rating.invalid, see `checkSession`. */
export async function makeBundle(session: RatingSession, rater: string): Promise<RaterBundle> {
  const page = pageFor(session, rater);
  return { format: "nagi-rating-bundle", version: 1, digest: await pageDigest(page), page };
}

/** Throws rating.bad_file {file, field} for another file or one that was changed. */
export async function readBundle(text: string, file: string): Promise<RaterBundle> {
  const bundle = readJson(raterBundle, text, file);
  if (bundle.digest !== (await pageDigest(bundle.page))) throw badFile(file, "digest");
  return bundle;
}

export function votesFile(bundle: RaterBundle, answers: readonly BlindVote[]): RaterVotesFile {
  const { session, rater } = bundle.page;
  return { format: "nagi-rating-votes", version: 1, digest: bundle.digest, session, rater, answers: [...answers] };
}

/**
 * A rater's votes for this session. Throws rating.bad_file {file, field} for another file or votes that the session does
 * not allow, rating.foreign {file} for votes on another session's bundle.
 */
export async function readVotesFile(text: string, file: string, session: RatingSession): Promise<RaterVotesFile> {
  const votes = readJson(raterVotesFile, text, file);
  if (votes.session !== session.id) throw foreign(file);
  const page = pageFor(session, votes.rater);
  if (votes.digest !== (await pageDigest(page))) throw foreign(file);
  const seen = new Set<number>();
  for (const [at, { number, choice }] of votes.answers.entries()) {
    const allowed = choice === "tie" ? session.allow_tie : choice === "both_bad" ? session.allow_both_bad : true;
    if (!allowed) throw badFile(file, `answers.${at}.choice`);
    if (number >= page.showings.length || seen.has(number)) throw badFile(file, `answers.${at}.number`);
    seen.add(number);
  }
  return votes;
}

function readJson<T>(schema: z.ZodType<T>, text: string, file: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badFile(file, "JSON", cause);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badFile(file, parsed.error.issues[0]?.path.join(".") || "format");
}

function badFile(file: string, field: string, cause?: unknown): NagiError {
  return new NagiError(
    "rating.bad_file",
    `${file} is no rating file that Nagi can read: ${field} is not what it should be. Raters open a bundle, hosts open a rater's votes; have a damaged file sent again.`,
    { file, field },
    { cause },
  );
}

function foreign(file: string): NagiError {
  return new NagiError(
    "rating.foreign",
    `${file}: these votes were not made with a bundle of this session. Open the session that the bundle was made from and import them there.`,
    { file },
  );
}
