/** A host's connection: one live session, named by the secret key of whoever made it. */
import type { WebSocket } from "ws";
import { NagiError } from "../../src/shared/errors";
import { type HostMessage, type HostReply, hostMessage, LIVE_CLOSE } from "../../src/shared/protocol/live";
import type { LiveSession } from "./live-session";
import type { LiveSessions } from "./live-sessions";
import { badMessage, Refusal, serveRequests } from "./requests";

export interface HostContext {
  readonly sessions: LiveSessions;
  /** Whether whoever connects may make sessions. Those that exist need the key alone. */
  readonly may_create: boolean;
  addresses(): string[];
}

type Opening = Extract<HostMessage, { type: "host" | "attach" }>;

export function serveHost(socket: WebSocket, { sessions, may_create, addresses }: HostContext): void {
  let hosted: LiveSession | null = null;

  const find = async (message: Opening): Promise<LiveSession> => {
    const id = message.type === "host" ? message.session.id : message.session_id;
    const known = sessions.byHost(message.host_key, id);
    if (message.type === "attach") {
      if (known === undefined)
        throw new NagiError("live.not_live", "This rating is not live here, or the key is another's. Start it again.");
      return known;
    }
    if (known !== undefined) {
      if (!known.holds(message.session)) throw badMessage("another session is live under this id and key");
      return known;
    }
    if (!may_create)
      throw new Refusal(
        new NagiError(
          "live.hosts_local",
          "Only the computer that runs the server may start a live rating. Open its http://localhost address there, or start the server with --allow-hosting.",
        ),
        LIVE_CLOSE.unknown,
      );
    return sessions.create(message.host_key, message.session);
  };

  const attach = async (message: Opening): Promise<HostReply> => {
    if (hosted !== null) throw badMessage("hosting already");
    const live = await find(message);
    hosted = live;
    let planned = false;
    // Votes that come together are told together.
    const tell = (): void => {
      if (planned) return;
      planned = true;
      setImmediate(() => {
        planned = false;
        push({ type: "progress", open: live.open, raters: live.progress() });
      });
    };
    const end = live.watch(tell);
    socket.once("close", end);
    if (socket.readyState !== socket.OPEN) end();
    tell();
    const { request_id } = message;
    return { type: "hosted", request_id, code: live.code, open: live.open, addresses: addresses() };
  };

  const { push } = serveRequests<HostMessage, HostReply>(socket, hostMessage, async (message) => {
    if (message.type === "host" || message.type === "attach") return attach(message);
    if (hosted === null) throw badMessage("host or attach first");
    const { request_id } = message;
    if (message.type === "collect") return { type: "votes", request_id, raters: hosted.collect() };
    if (message.type === "open") await hosted.setOpen(message.open);
    else {
      await sessions.remove(hosted);
      hosted = null;
    }
    return { type: "ok", request_id };
  });
}
