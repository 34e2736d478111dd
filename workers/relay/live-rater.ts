/** A rater's connection: one code, one name, nothing but that rater's own page and votes. */
import type { WebSocket } from "ws";
import { NagiError } from "../../src/shared/errors";
import {
  LIVE_CLOSE,
  type RaterMessage,
  type RaterReply,
  raterMessage,
  raterNameOf,
} from "../../src/shared/protocol/live";
import type { Guesses } from "./guesses";
import { type LiveSession, unknownCode } from "./live-session";
import type { LiveSessions } from "./live-sessions";
import { badMessage, Refusal, serveRequests } from "./requests";

type Join = Extract<RaterMessage, { type: "join" }>;

interface Joined {
  readonly live: LiveSession;
  readonly rater: string;
}

export interface RaterContext {
  readonly sessions: LiveSessions;
  readonly guesses: Guesses;
  /** Of the person who connects. */
  readonly address: string;
}

export function serveRater(socket: WebSocket, { sessions, guesses, address }: RaterContext): void {
  let joined: Joined | null = null;

  const find = ({ code, rater, rater_secret }: Join): LiveSession => {
    const known = sessions.byCode(code);
    // Who proves to have been in before guesses nothing, whatever others behind the same address do.
    if (known?.knows(raterNameOf(rater), rater_secret)) return known;
    if (!guesses.allowed(address))
      throw new Refusal(
        new NagiError("live.too_many_tries", "Too many wrong codes from this address. Wait a minute and try again."),
        LIVE_CLOSE.too_many,
      );
    if (known !== undefined) return known;
    guesses.wrong(address);
    throw new Refusal(unknownCode(code), LIVE_CLOSE.unknown);
  };

  const join = async (message: Join): Promise<RaterReply> => {
    const { request_id, rater_secret, with_page } = message;
    if (joined !== null) throw badMessage("joined already");
    const live = find(message);
    const rater = raterNameOf(message.rater);
    if (rater === "") throw badMessage("an empty name");
    await live.join(rater, rater_secret);
    // Gone while the name was being written: nobody is here who could leave.
    if (socket.readyState === socket.OPEN) {
      joined = { live, rater };
      const leave = live.enter(rater, {
        replaced: () => socket.close(LIVE_CLOSE.elsewhere, "live.elsewhere"),
        state: (open) => push({ type: "state", open }),
        gone: () => socket.close(LIVE_CLOSE.unknown, "live.unknown_code"),
      });
      socket.once("close", leave);
    }
    const page = with_page ? live.pageFor(rater) : null;
    return { type: "joined", request_id, open: live.open, page, answers: live.answersOf(rater) };
  };

  const { push } = serveRequests<RaterMessage, RaterReply>(socket, raterMessage, async (message) => {
    if (message.type === "join") return join(message);
    if (joined === null) throw badMessage("join first");
    const { live, rater } = joined;
    if (message.type === "vote") await live.vote(rater, message.vote);
    else await live.undo(rater, message.number);
    return { type: "ok", request_id: message.request_id };
  });
}
