/**
 * The relay of `npm start -- --relay`: live rating sessions and workers behind NAT, over the WebSockets of the server that
 * also serves the pages. Bundled for Node (vite.config.ts), loaded by .ci/start.mjs.
 */
import { mkdir } from "node:fs/promises";
import type { IncomingMessage, Server } from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HOST_FRAME_BYTES, LIVE_HOST_PATH, LIVE_PATH, RATER_FRAME_BYTES } from "../../src/shared/protocol/live";
import { Guesses } from "./guesses";
import { serveHost } from "./live-host";
import { serveRater } from "./live-rater";
import { LiveSessions } from "./live-sessions";
import { lockFolder } from "./lock";
import { addressOf, Connections, type Door, isLocal, originAllowed, type Route, routeOf } from "./upgrade";
import { WorkerCodes } from "./worker-codes";
import { FRAME_BYTES, HEADER_BYTES, STUDIO_PATH, WORKER_PATH } from "./worker-frames";
import { WorkerRelay } from "./worker-relay";

export interface RelayOptions extends Door {
  /** Folder of sessions, votes and pairing codes. */
  readonly folder: string;
  /** Addresses of this server as other machines reach it, best first; asked whenever a host is told. */
  addresses(): string[];
  say(line: string): void;
  /** Milliseconds that a studio may keep a worker's link waiting: 30 000. */
  readonly stuck_ms?: number;
  /** The clock that forgives wrong codes. */
  readonly now?: () => number;
}

export interface Relay {
  /** Takes the upgrades of a server. */
  attach(server: Server): void;
  close(): Promise<void>;
}

const CONNECTIONS_EACH = 200;
const CONNECTIONS_TOGETHER = 2000;
/** Milliseconds between pings; who has not answered one by the next is gone. */
const PING_MS = 20_000;

const FRAMES: Readonly<Record<Route, number>> = {
  [LIVE_PATH]: RATER_FRAME_BYTES,
  [LIVE_HOST_PATH]: HOST_FRAME_BYTES,
  [WORKER_PATH]: FRAME_BYTES + HEADER_BYTES,
  [STUDIO_PATH]: FRAME_BYTES,
};

/** Throws where the folder cannot be used. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { folder, say } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(join(folder, "relay.lock"));
  const sessions = await LiveSessions.open(join(folder, "live"), say);
  const workers = new WorkerRelay(
    await WorkerCodes.open(join(folder, "workers.json")),
    new Guesses(),
    options.stuck_ms,
  );
  const guesses = new Guesses(options.now);
  const connections = new Connections(CONNECTIONS_EACH, CONNECTIONS_TOGETHER);
  const alive = new WeakSet<WebSocket>();
  const server = (maxPayload: number): WebSocketServer =>
    new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false });
  const servers: Readonly<Record<Route, WebSocketServer>> = {
    [LIVE_PATH]: server(FRAMES[LIVE_PATH]),
    [LIVE_HOST_PATH]: server(FRAMES[LIVE_HOST_PATH]),
    [WORKER_PATH]: server(FRAMES[WORKER_PATH]),
    [STUDIO_PATH]: server(FRAMES[STUDIO_PATH]),
  };

  const serve = (route: Route, socket: WebSocket, request: IncomingMessage): void => {
    const address = addressOf(request, options);
    alive.add(socket);
    socket.on("pong", () => alive.add(socket));
    if (route === LIVE_PATH) serveRater(socket, { sessions, guesses, address });
    else if (route === LIVE_HOST_PATH) {
      const may_create = options.anyone_hosts || isLocal(request);
      serveHost(socket, { sessions, may_create, addresses: options.addresses });
    } else if (route === WORKER_PATH) workers.serveWorker(socket);
    else workers.serveStudio(socket, address, request.headers.origin ?? null);
  };

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const refuse = (status: string): void => {
      socket.on("error", () => undefined);
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    };
    const route = routeOf(request);
    if (route === null) refuse("404 Not Found");
    else if (!originAllowed(route, request.headers.origin, request.headers.host, options)) refuse("403 Forbidden");
    else {
      const leave = connections.take(addressOf(request, options));
      if (leave === null) refuse("503 Service Unavailable");
      else {
        socket.once("close", leave);
        servers[route].handleUpgrade(request, socket, head, (opened) => serve(route, opened, request));
      }
    }
  };

  const pings = setInterval(() => {
    for (const { clients } of Object.values(servers))
      for (const socket of clients) {
        if (!alive.delete(socket)) socket.terminate();
        else socket.ping();
      }
  }, PING_MS);
  pings.unref();

  return {
    attach: (http) => void http.on("upgrade", upgrade),
    async close() {
      clearInterval(pings);
      for (const { clients } of Object.values(servers)) for (const socket of clients) socket.terminate();
      await sessions.close();
      unlock();
    },
  };
}
