/**
 * A worker's link and the studios on it. Frames are passed on as they are. Nothing piles up here: a side is not read while
 * the other side does not take what it sent. A studio that takes nothing for long is let go, since the others wait for it.
 */
import type { RawData, WebSocket } from "ws";
import { bytesOf } from "./requests";
import { closedPayload, FRAME_BYTES, KIND, packFrame, unpackFrame } from "./worker-frames";

/** Bytes on their way to a socket above which its source is not read, and below which it is read again. */
const HIGH = 8 * 1024 * 1024;
const LOW = 1024 * 1024;
/** Milliseconds that a studio may keep the link waiting. */
const STUCK_MS = 30_000;
/** Studios of a worker, at most. */
export const MAX_STUDIOS = 64;

/** Close codes of `/relay/*`. */
export const RELAY_CLOSE = {
  bad_message: 4400,
  /** A studio's code finds no worker that is here. */
  unknown: 4404,
  /** A worker with the same key has come in. */
  replaced: 4409,
  too_many: 4429,
  /** The worker's link is cut: come again. */
  away: 4503,
} as const;

interface Studio {
  readonly socket: WebSocket;
  /** Set while it keeps the link waiting. */
  stuck: NodeJS.Timeout | null;
}

export class WorkerLink {
  readonly #studios = new Map<number, Studio>();
  #next = 1;

  constructor(
    private readonly worker: WebSocket,
    private readonly stuckMs = STUCK_MS,
  ) {
    worker.on("message", (data, binary) => this.#fromWorker(data, binary));
    worker.once("close", () => {
      for (const [channel, { socket }] of this.#studios) {
        this.#forget(channel);
        socket.resume();
        socket.close(RELAY_CLOSE.away, "relay.away");
      }
    });
  }

  get studios(): number {
    return this.#studios.size;
  }

  /** Lets a studio onto the link: from now on its frames are the worker's. */
  open(socket: WebSocket, origin: string | null): void {
    const channel = this.#next++;
    this.#studios.set(channel, { socket, stuck: null });
    this.#toWorker(packFrame(channel, KIND.opened, JSON.stringify({ origin })));
    socket.on("message", (data, binary) =>
      this.#toWorker(packFrame(channel, binary ? KIND.binary : KIND.text, bytesOf(data))),
    );
    socket.once("close", (code, reason) => {
      if (!this.#studios.has(channel)) return;
      this.#forget(channel);
      this.#toWorker(packFrame(channel, KIND.closed, JSON.stringify({ code, reason: reason.toString() })));
    });
  }

  close(code: number, reason: string): void {
    this.worker.resume();
    this.worker.close(code, reason);
  }

  #toWorker(frame: Buffer): void {
    if (this.worker.readyState !== this.worker.OPEN) return;
    this.worker.send(frame, () => {
      if (this.worker.bufferedAmount > LOW) return;
      for (const { socket } of this.#studios.values()) if (socket.isPaused) socket.resume();
    });
    if (this.worker.bufferedAmount > HIGH) for (const { socket } of this.#studios.values()) socket.pause();
  }

  #fromWorker(data: RawData, binary: boolean): void {
    const frame = binary ? unpackFrame(bytesOf(data)) : null;
    if (frame === null || frame.payload.length > FRAME_BYTES) {
      this.#bad("not a channel's frame");
      return;
    }
    const studio = this.#studios.get(frame.channel);
    // Sent before the worker heard that this studio has gone.
    if (studio === undefined) return;
    if (frame.kind === KIND.text) this.#toStudio(frame.channel, studio, frame.payload, false);
    else if (frame.kind === KIND.binary) this.#toStudio(frame.channel, studio, frame.payload, true);
    else if (frame.kind === KIND.closed) this.#closeStudio(frame.channel, studio, frame.payload);
    else this.#bad(`kind ${frame.kind}`);
  }

  #toStudio(channel: number, studio: Studio, payload: Buffer, binary: boolean): void {
    const { socket } = studio;
    if (socket.readyState !== socket.OPEN) return;
    socket.send(payload, { binary }, () => {
      if (socket.bufferedAmount <= LOW) this.#unstick(studio);
    });
    if (socket.bufferedAmount <= HIGH || studio.stuck !== null) return;
    studio.stuck = setTimeout(() => {
      this.#forget(channel);
      this.#toWorker(packFrame(channel, KIND.closed, JSON.stringify({ code: 1013, reason: "takes nothing" })));
      // A close frame would wait behind what it does not take.
      socket.terminate();
    }, this.stuckMs);
    this.worker.pause();
  }

  #closeStudio(channel: number, { socket }: Studio, payload: Buffer): void {
    const read = closedPayload.safeParse(parseJson(payload));
    if (!read.success) {
      this.#bad("a closing that cannot be read");
      return;
    }
    this.#forget(channel);
    const { code, reason } = read.data;
    socket.resume();
    // Codes that no endpoint may send (1004 to 1006, 1015) become "going away".
    const sendable = code >= 3000 || (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code));
    socket.close(sendable ? code : 1001, fitReason(reason));
  }

  #forget(channel: number): void {
    const studio = this.#studios.get(channel);
    this.#studios.delete(channel);
    if (studio) this.#unstick(studio);
  }

  #unstick(studio: Studio): void {
    if (studio.stuck === null) return;
    clearTimeout(studio.stuck);
    studio.stuck = null;
    if ([...this.#studios.values()].every(({ stuck }) => stuck === null)) this.worker.resume();
  }

  #bad(problem: string): void {
    this.close(RELAY_CLOSE.bad_message, problem);
  }
}

/** A close frame has room for 123 bytes of reason. */
export function fitReason(reason: string): string {
  let text = reason;
  while (Buffer.byteLength(text) > 123) text = text.slice(0, -1);
  return text;
}

export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
