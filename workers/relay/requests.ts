/** Requests of one WebSocket, one after another, each answered once. */
import type { RawData, WebSocket } from "ws";
import { z } from "zod";
import { type ErrorData, NagiError, toErrorData } from "../../src/shared/errors";
import { LIVE_CLOSE } from "../../src/shared/protocol/live";

/** Requests that wait before the socket is read no further. */
const WAITING = 64;
/** Milliseconds until the first request. */
const FIRST_REQUEST_MS = 10_000;

interface Request {
  readonly type: string;
  readonly request_id: number;
}

interface Refused {
  readonly type: "refused";
  readonly request_id: number | null;
  readonly error: ErrorData;
}

/** Bytes of a message, however ws hands them over. */
export const bytesOf = (data: RawData): Buffer =>
  Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data);

export class Refusal extends Error {
  /** Answers with the error and ends the connection. */
  constructor(
    readonly data: NagiError,
    readonly closeCode: number,
  ) {
    super(data.message);
  }
}

export interface Served<Reply> {
  /** Sends, unless the socket is closing. */
  push(reply: Reply): void;
}

/**
 * Reads requests by `schema` and answers each with what `handle` resolves to or, where it throws, with `refused`. A
 * message against the schema is refused and ends the connection; so does a Refusal.
 */
export function serveRequests<Message extends Request, Reply>(
  socket: WebSocket,
  schema: z.ZodType<Message>,
  handle: (message: Message) => Promise<Reply>,
): Served<Reply | Refused> {
  let waiting = 0;
  let queue = Promise.resolve();
  const push = (reply: Reply | Refused): void => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(reply));
  };
  const refuse = (request_id: number | null, error: unknown): void => {
    if (error instanceof Refusal) {
      push({ type: "refused", request_id, error: error.data.toData() });
      socket.close(error.closeCode, error.data.code);
    } else push({ type: "refused", request_id, error: toErrorData(error) });
  };
  const first = setTimeout(() => socket.close(LIVE_CLOSE.bad_message, "no request"), FIRST_REQUEST_MS);
  socket.on("message", (data, binary) => {
    clearTimeout(first);
    const read = binary ? "a binary frame" : parse(schema, bytesOf(data).toString("utf8"));
    if (typeof read === "string") return refuse(null, badMessage(read));
    waiting++;
    if (waiting >= WAITING) socket.pause();
    queue = queue.then(async () => {
      try {
        if (socket.readyState === socket.OPEN) push(await handle(read));
      } catch (error) {
        refuse(read.request_id, error);
      }
      waiting--;
      if (socket.isPaused) socket.resume();
    });
  });
  socket.on("close", () => clearTimeout(first));
  // Frames that are too large, text that is not UTF-8: ws closes with the standard's code by itself.
  socket.on("error", () => undefined);
  return { push };
}

/** The message, or what is wrong with it. */
function parse<Message>(schema: z.ZodType<Message>, text: string): Message | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  const read = schema.safeParse(value);
  return read.success ? read.data : z.prettifyError(read.error).slice(0, 300);
}

export function badMessage(problem: string): Refusal {
  return new Refusal(
    new NagiError("live.bad_message", `The message does not follow the protocol: ${problem}`, { problem }),
    LIVE_CLOSE.bad_message,
  );
}
