/** Workers that dialled in, and the studios that ask for one by its code. */
import type { WebSocket } from "ws";
import { NagiError } from "../../src/shared/errors";
import type { Guesses } from "./guesses";
import { bytesOf } from "./requests";
import type { WorkerCodes } from "./worker-codes";
import { studioPair, workerHello } from "./worker-frames";
import { MAX_STUDIOS, parseJson, RELAY_CLOSE, WorkerLink } from "./worker-link";

const FIRST_FRAME_MS = 10_000;
/** Workers at a time, at most. */
const MAX_WORKERS = 500;

export class WorkerRelay {
  readonly #links = new Map<string, WorkerLink>();

  constructor(
    private readonly codes: WorkerCodes,
    private readonly guesses: Guesses,
    /** Milliseconds that a studio may keep a worker's link waiting. */
    private readonly stuckMs?: number,
  ) {}

  serveWorker(socket: WebSocket): void {
    firstFrame(socket, async (value) => {
      const hello = workerHello.safeParse(value);
      if (!hello.success) return socket.close(RELAY_CLOSE.bad_message, "not a worker's hello");
      if (this.#links.size >= MAX_WORKERS) return socket.close(1013, "too many workers");
      const code = await this.codes.codeFor(hello.data.worker_key);
      if (socket.readyState !== socket.OPEN) return;
      this.#links.get(code)?.close(RELAY_CLOSE.replaced, "replaced");
      const link = new WorkerLink(socket, this.stuckMs);
      this.#links.set(code, link);
      socket.once("close", () => {
        if (this.#links.get(code) === link) this.#links.delete(code);
      });
      socket.send(JSON.stringify({ type: "code", code }));
    });
  }

  /** `address` is who connects, `origin` the page they do it from. */
  serveStudio(socket: WebSocket, address: string, origin: string | null): void {
    firstFrame(socket, async (value) => {
      const pair = studioPair.safeParse(value);
      if (!pair.success) return socket.close(RELAY_CLOSE.bad_message, "not a pairing");
      const code = pair.data.code.toUpperCase();
      if (!this.guesses.allowed(address))
        return refuse(
          socket,
          RELAY_CLOSE.too_many,
          new NagiError("live.too_many_tries", "Too many wrong codes from this address. Wait a minute and try again."),
        );
      const link = this.#links.get(code);
      if (link === undefined || link.studios >= MAX_STUDIOS) {
        if (link === undefined) this.guesses.wrong(address);
        return refuse(
          socket,
          RELAY_CLOSE.unknown,
          new NagiError(
            "relay.unknown_code",
            `No worker is connected under the code "${code}". Check the code and that the worker runs.`,
            { code },
          ),
        );
      }
      socket.send(JSON.stringify({ type: "paired" }));
      link.open(socket, origin);
    });
  }
}

function refuse(socket: WebSocket, closeCode: number, error: NagiError): void {
  socket.send(JSON.stringify({ type: "refused", error: error.toData() }));
  socket.close(closeCode, error.code);
}

/** The first frame as JSON. Both sides wait for its answer before they send more. */
function firstFrame(socket: WebSocket, take: (value: unknown) => Promise<void>): void {
  const late = setTimeout(() => socket.close(RELAY_CLOSE.bad_message, "no first frame"), FIRST_FRAME_MS);
  socket.on("error", () => undefined);
  socket.once("close", () => clearTimeout(late));
  socket.once("message", (data, binary) => {
    clearTimeout(late);
    take(binary ? undefined : parseJson(bytesOf(data))).catch(() => socket.close(1011, "the relay failed"));
  });
}
