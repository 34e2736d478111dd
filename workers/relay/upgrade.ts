/** Who may open which WebSocket: path, origin, number of connections. */
import type { IncomingMessage } from "node:http";
import { LIVE_HOST_PATH, LIVE_PATH } from "../../src/shared/protocol/live";
import { STUDIO_PATH, WORKER_PATH } from "./worker-frames";

export interface Door {
  /** Behind a reverse proxy: the address people use, "https://relay.example.org". Its forwarding headers are believed. */
  readonly public_url: string | null;
  /** Other pages that may ask for workers: their origins. */
  readonly studio_origins: readonly string[];
  /** Whoever reaches this server may make live sessions, not only who sits at it. */
  readonly anyone_hosts: boolean;
}

export type Route = typeof LIVE_PATH | typeof LIVE_HOST_PATH | typeof WORKER_PATH | typeof STUDIO_PATH;
const ROUTES: readonly string[] = [LIVE_PATH, LIVE_HOST_PATH, WORKER_PATH, STUDIO_PATH];

const isRoute = (path: string): path is Route => ROUTES.includes(path);

export function routeOf(request: IncomingMessage): Route | null {
  const path = (request.url ?? "").replace(/[?#].*$/s, "");
  return isRoute(path) ? path : null;
}

function originOf(url: string): URL | null {
  try {
    return new URL(url);
  } catch {
    return null;
  }
}

const LOCAL_NAMES = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * Whether the page that asks may: browsers name it in Origin, programs do not. Live pages are this server's own; studios
 * may also be served by the user's own machine; workers are no pages.
 */
export function originAllowed(route: Route, origin: string | undefined, host: string | undefined, door: Door): boolean {
  if (origin === undefined) return true;
  if (route === WORKER_PATH) return false;
  const page = originOf(origin);
  if (page === null) return false;
  if (host !== undefined && page.host === host.toLowerCase()) return true;
  if (door.public_url !== null && page.origin === originOf(door.public_url)?.origin) return true;
  if (route !== STUDIO_PATH) return false;
  return (
    LOCAL_NAMES.test(page.hostname) || door.studio_origins.some((other) => originOf(other)?.origin === page.origin)
  );
}

const forwarded = (request: IncomingMessage): string | null => {
  const header = request.headers["x-forwarded-for"];
  const chain = (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",").map((part) => part.trim());
  return chain.at(-1) || null;
};

/** The address that asks. A proxy's word counts only where there is said to be one. */
export function addressOf(request: IncomingMessage, door: Door): string {
  const direct = request.socket.remoteAddress ?? "";
  return door.public_url === null ? direct : (forwarded(request) ?? direct);
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** Whether who asks sits at this machine: a connection from it that nobody passed on. */
export function isLocal(request: IncomingMessage): boolean {
  const { headers, socket } = request;
  const passedOn = headers["x-forwarded-for"] ?? headers.forwarded ?? headers["x-real-ip"] ?? headers.via;
  return passedOn === undefined && LOOPBACK.test(socket.remoteAddress ?? "");
}

/** Open connections by address, so that one machine cannot take them all. */
export class Connections {
  readonly #open = new Map<string, number>();
  #all = 0;

  constructor(
    private readonly each: number,
    private readonly together: number,
  ) {}

  /** Takes a place: what gives it back, or null where there is none. */
  take(address: string): (() => void) | null {
    const own = this.#open.get(address) ?? 0;
    if (own >= this.each || this.#all >= this.together) return null;
    this.#open.set(address, own + 1);
    this.#all++;
    return () => {
      this.#all--;
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left === 0) this.#open.delete(address);
      else this.#open.set(address, left);
    };
  }
}
