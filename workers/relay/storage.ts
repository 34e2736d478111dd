/** What the file system throws, as errors with a way out. */
import { NagiError } from "../../src/shared/errors";

/** storage.quota {needed, available} where the disk is full, else storage.unavailable {message}. A NagiError stays. */
export function storageError(path: string, error: unknown): NagiError {
  if (error instanceof NagiError) return error;
  const full = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  if (full)
    return new NagiError(
      "storage.quota",
      `${path}: the relay's disk is full. Free some space there and try again.`,
      { needed: null, available: null },
      { cause: error },
    );
  const message = `${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
  return new NagiError("storage.unavailable", message, { message }, { cause: error });
}
