/**
 * A WebSocket to the relay that comes back by itself: after a cut it connects again, says who it is, and its owner sends
 * what was not answered. Nothing here knows raters or hosts.
 */
import type { z } from "zod";
import { type ErrorData, NagiError } from "../shared/errors";
import { LIVE_CLOSE } from "../shared/protocol/live";

/** What a socket tells. After `close` nothing more comes. */
export interface SocketEvents {
  open(): void;
  text(data: string): void;
  close(code: number): void;
}

export interface Socket {
  send(text: string): void;
  /** `close` is told, at once or later. */
  close(): void;
}

export type OpenSocket = (url: string, events: SocketEvents) => Socket;

export interface LinkOptions {
  /** Address of the page, by default where this one comes from. */
  readonly base?: string;
  readonly open?: OpenSocket;
  /** Tells "online" and "offline"; the window. */
  readonly network?: EventTarget;
}

export function browserSocket(url: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url);
  socket.addEventListener("open", () => events.open());
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") events.text(data);
  });
  socket.addEventListener("close", ({ code }) => events.close(code));
  return { send: (text) => socket.send(text), close: () => socket.close() };
}

/** ws://… of a path on the page's own server. */
export function socketUrl(path: string, base: string): string {
  const url = new URL(path, base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Milliseconds until the next try, and without an answer until the connection counts as dead. */
const FIRST_WAIT = 300;
const LONGEST_WAIT = 5000;
const ANSWER_WITHIN = 15_000;

interface Answer {
  readonly type: string;
  readonly request_id?: number | null | undefined;
  readonly error?: ErrorData | undefined;
}

interface Pending<Reply> {
  resolve(reply: Reply): void;
  reject(error: NagiError): void;
}

export interface LinkOwner<Reply> {
  /** The socket is open: say who it is by `request`. What it throws as a NagiError other than live.unreachable ends the link. */
  greet(): Promise<void>;
  /** Greeted (true) or cut (false). */
  online(value: boolean): void;
  /** A message that answers nothing. */
  push(reply: Reply): void;
  /** It will not come back. */
  failed(error: NagiError): void;
}

export const unreachable = (): NagiError =>
  new NagiError("live.unreachable", "The server of this rating cannot be reached. Check that it runs and the network.");

/** Why a connection that was closed with this code must not be opened again; null: it may. */
function reasonOf(code: number): NagiError | null {
  if (code === LIVE_CLOSE.elsewhere)
    return new NagiError("live.elsewhere", "The same rater's page was opened elsewhere. Reload to go on here.");
  if (code === LIVE_CLOSE.unknown)
    return new NagiError("live.unknown_code", "The host has deleted this rating.", { code: "" });
  if (code === LIVE_CLOSE.bad_message)
    return new NagiError("live.bad_message", "The relay did not understand this page. Reload it.", {
      problem: "closed",
    });
  return null;
}

export class LiveLink<Request extends { readonly type: string }, Reply extends Answer> {
  #socket: Socket | null = null;
  #ready = false;
  #ended = false;
  #wait = FIRST_WAIT;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nextId = 0;
  readonly #pending = new Map<number, Pending<Reply>>();
  readonly #network: EventTarget;
  readonly #onOnline = (): void => this.#connect();
  readonly #onOffline = (): void => this.#cut();

  constructor(
    private readonly path: string,
    private readonly schema: z.ZodType<Reply>,
    private readonly owner: LinkOwner<Reply>,
    private readonly options: LinkOptions,
  ) {
    this.#network = options.network ?? globalThis;
    this.#network.addEventListener("online", this.#onOnline);
    this.#network.addEventListener("offline", this.#onOffline);
    this.#connect();
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The answer; rejects with the error of a refusal, or live.unreachable where the connection is cut before. */
  request(message: Request): Promise<Reply> {
    const socket = this.#socket;
    if (socket === null) return Promise.reject(unreachable());
    const request_id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.#cut(), ANSWER_WITHIN);
      const settled = (): void => {
        clearTimeout(late);
        this.#pending.delete(request_id);
      };
      this.#pending.set(request_id, {
        resolve(reply) {
          settled();
          resolve(reply);
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
      socket.send(JSON.stringify({ ...message, request_id }));
    });
  }

  /** For good. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#network.removeEventListener("online", this.#onOnline);
    this.#network.removeEventListener("offline", this.#onOffline);
    this.#cut();
  }

  #connect(): void {
    if (this.#ended || this.#socket !== null) return;
    clearTimeout(this.#timer);
    const base = this.options.base ?? globalThis.location.href;
    let open = false;
    const socket = (this.options.open ?? browserSocket)(socketUrl(this.path, base), {
      open: () => {
        open = true;
        if (this.#socket === socket) this.#greet(socket);
        else socket.close();
      },
      text: (data) => {
        if (this.#socket === socket) this.#receive(data);
      },
      close: (code) => {
        if (this.#socket !== socket) return;
        const reason = open ? reasonOf(code) : null;
        if (reason === null) this.#cut();
        else this.#fail(reason);
      },
    });
    this.#socket = socket;
  }

  #greet(socket: Socket): void {
    this.owner.greet().then(
      () => {
        if (this.#socket !== socket) return;
        this.#ready = true;
        this.#wait = FIRST_WAIT;
        this.owner.online(true);
      },
      (error: unknown) => {
        const known =
          error instanceof NagiError ? error : new NagiError("internal", String(error), { message: "greet" });
        if (this.#socket !== socket) return;
        if (known.code === "live.unreachable") this.#cut();
        else this.#fail(known);
      },
    );
  }

  #receive(data: string): void {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      value = undefined;
    }
    const read = this.schema.safeParse(value);
    if (!read.success) {
      this.#fail(
        new NagiError("live.bad_message", "The relay sent something that this page does not know. Reload the page.", {
          problem: read.error.issues[0]?.path.join(".") ?? "",
        }),
      );
      return;
    }
    const { request_id: id, error } = read.data;
    const pending = id === null || id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined) this.owner.push(read.data);
    else if (error === undefined) pending?.resolve(read.data);
    else if (pending !== undefined) pending.reject(NagiError.fromData(error));
    else if (id === null) this.#fail(NagiError.fromData(error));
  }

  /** Ends this connection, not the link: the next one is on its way unless the link has ended. */
  #cut(): void {
    const socket = this.#socket;
    this.#socket = null;
    const was = this.#ready;
    this.#ready = false;
    for (const pending of [...this.#pending.values()]) pending.reject(unreachable());
    socket?.close();
    if (was || (socket !== null && !this.#ended)) this.owner.online(false);
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), this.#wait);
    this.#wait = Math.min(LONGEST_WAIT, this.#wait * 2);
  }

  #fail(error: NagiError): void {
    this.end();
    this.owner.failed(error);
  }
}
