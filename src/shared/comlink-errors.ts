/**
 * Errors across a worker boundary: comlink keeps only a message, this keeps the code and the details. Both sides call
 * `installErrorTransfer` before the first message.
 */
import { transferHandlers } from "comlink";
import { z } from "zod";
import { NagiError, toErrorData } from "./errors";
import { errorData } from "./protocol/events";

const thrown = z.object({ value: z.unknown() });

export function installErrorTransfer(): void {
  // comlink marks what was thrown with a symbol of its own, so only its handler can tell.
  const original = transferHandlers.get("throw");
  if (original === undefined)
    throw new NagiError("internal", "comlink has no handler for errors", { message: "comlink" });
  transferHandlers.set("throw", {
    canHandle: original.canHandle,
    serialize: (value) => [toErrorData(thrown.parse(value).value), []],
    deserialize: (data) => {
      const parsed = errorData.safeParse(data);
      throw parsed.success ? NagiError.fromData(parsed.data) : NagiError.fromData(toErrorData(data));
    },
  });
}
