/**
 * Live rating sessions: what the host's page and the raters' pages say to the relay and hear from it. JSON text frames
 * over two WebSocket paths, so that a rater's link can ask for nothing that is a host's. The only declaration of both.
 *
 * Every request has a `request_id` and exactly one answer that repeats it: `ok`, its own answer, or `refused`. Requests
 * can be sent again after a cut connection: they say what shall be, not what shall change.
 */
import { z } from "zod";
import { errorData } from "./events";
import { blindVote, raterPage, ratingSession } from "./rating";

/** Raters: `join` first, within JOIN_SECONDS. */
export const LIVE_PATH = "/live";
/** Hosts: `host` or `attach` first. */
export const LIVE_HOST_PATH = "/live/host";
/** A page asks here, by GET, whether its server is a relay at all: {"relay": boolean}. */
export const RELAY_INFO_PATH = "/relay.json";

/** Bytes of a frame to the relay. A whole session goes into one. */
export const RATER_FRAME_BYTES = 4096;
export const HOST_FRAME_BYTES = 32 * 1024 * 1024;

/** No letters that are taken for digits, or for each other when read aloud. */
export const CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/** 31^8 codes: with the relay's limit on wrong ones nobody finds a session by trying. */
export const CODE_LENGTH = 8;
const CODE = new RegExp(`^[${CODE_LETTERS}]{${CODE_LENGTH}}$`);

/** What a person typed or a link holds as a code: any case, with or without dashes and spaces. null: it is none. */
export function readCode(typed: string): string | null {
  const code = typed
    .normalize("NFKC")
    .replaceAll(/[\s‐-―−-]/g, "")
    .toUpperCase();
  return CODE.test(code) ? code : null;
}

/** For reading and typing: "ABCD-EFGH". */
export const showCode = (code: string): string => `${code.slice(0, CODE_LENGTH / 2)}-${code.slice(CODE_LENGTH / 2)}`;

/** One name for one rater, however it is typed. */
export const raterNameOf = (typed: string): string => typed.normalize("NFKC").trim().replaceAll(/\s+/g, " ");

export const RATER_NAME_LENGTH = 60;

const requestId = z.int().min(0);
/** 256 random bits in hex. The relay keeps only their SHA-256. */
export const liveSecret = z.string().regex(/^[0-9a-f]{64}$/);
export const liveCode = z.string().regex(CODE);

/** What a host's page sends. */
export const hostMessage = z.discriminatedUnion("type", [
  /** Makes the session live, or finds it where this key has made it live: the same code again. */
  z.strictObject({ type: z.literal("host"), request_id: requestId, host_key: liveSecret, session: ratingSession }),
  /** Comes back to a live session without sending it again. Refused with live.not_live where there is none. */
  z.strictObject({
    type: z.literal("attach"),
    request_id: requestId,
    host_key: liveSecret,
    session_id: z.string().min(1).max(100),
  }),
  z.strictObject({ type: z.literal("collect"), request_id: requestId }),
  /** Closed: raters see it and can vote no more; what they have voted stays. */
  z.strictObject({ type: z.literal("open"), request_id: requestId, open: z.boolean() }),
  /** Deletes session, names and votes from the relay. The code means nothing from then on. */
  z.strictObject({ type: z.literal("forget"), request_id: requestId }),
]);

/** How far a rater is. */
export const raterProgress = z.strictObject({
  rater: z.string().min(1),
  done: z.int().min(0),
  of: z.int().min(0),
  online: z.boolean(),
});

/** What a rater has voted, one vote a showing. The host unblinds it (`unblind` of ratings/plan.ts). */
export const raterAnswers = z.strictObject({ rater: z.string().min(1), answers: z.array(blindVote) });

const ok = z.strictObject({ type: z.literal("ok"), request_id: requestId });
/** request_id null: the message could not be read; the connection ends. */
const refused = z.strictObject({
  type: z.literal("refused"),
  request_id: requestId.nullable(),
  error: errorData,
});

/** What a host's page hears. */
export const hostReply = z.discriminatedUnion("type", [
  ok,
  refused,
  z.strictObject({
    type: z.literal("hosted"),
    request_id: requestId,
    code: liveCode,
    open: z.boolean(),
    /** Addresses of this server as raters reach it, best first: "http://192.168.1.5:4173". */
    addresses: z.array(z.string().min(1)),
  }),
  z.strictObject({ type: z.literal("votes"), request_id: requestId, raters: z.array(raterAnswers) }),
  /** All raters: after `host` or `attach`, and whenever one has joined, voted, come or gone. */
  z.strictObject({ type: z.literal("progress"), open: z.boolean(), raters: z.array(raterProgress) }),
]);

/** What a rater's page sends. */
export const raterMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("join"),
    request_id: requestId,
    code: liveCode,
    rater: z.string().min(1).max(RATER_NAME_LENGTH),
    /** Made by the page at the first join and kept there: the name belongs to whoever has it. */
    rater_secret: liveSecret,
    /** false: the page is here already, after a cut connection. */
    with_page: z.boolean(),
  }),
  /** Answered once it is on the disk. Again for the same number: replaces it. */
  z.strictObject({ type: z.literal("vote"), request_id: requestId, vote: blindVote }),
  z.strictObject({ type: z.literal("undo"), request_id: requestId, number: z.int().min(0) }),
]);

/** What a rater's page hears: its own page, its own votes. */
export const raterReply = z.discriminatedUnion("type", [
  ok,
  refused,
  z.strictObject({
    type: z.literal("joined"),
    request_id: requestId,
    open: z.boolean(),
    page: raterPage.nullable(),
    answers: z.array(blindVote),
  }),
  /** The host has closed the session, or opened it again. */
  z.strictObject({ type: z.literal("state"), open: z.boolean() }),
]);

/** GET RELAY_INFO_PATH. */
export const relayInfo = z.strictObject({ relay: z.boolean() });

/** Close codes of the live paths. */
export const LIVE_CLOSE = {
  /** A message against the schema; too large: 1009, as the WebSocket standard has it. */
  bad_message: 4400,
  /** The code, or the host's key, opens nothing. */
  unknown: 4404,
  /** The same rater came in elsewhere. */
  elsewhere: 4409,
  /** Too many wrong codes from this address. */
  too_many: 4429,
} as const;

export type HostMessage = z.infer<typeof hostMessage>;
export type HostReply = z.infer<typeof hostReply>;
export type RaterMessage = z.infer<typeof raterMessage>;
export type RaterReply = z.infer<typeof raterReply>;
export type RaterProgress = z.infer<typeof raterProgress>;
export type RaterAnswers = z.infer<typeof raterAnswers>;
