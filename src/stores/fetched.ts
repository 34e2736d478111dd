/** A value that is asked of the worker. */
import { type ErrorData, toErrorData } from "../shared/errors";

export type Fetched<T> =
  | { readonly status: "loading" }
  | { readonly status: "ready"; readonly value: T }
  | { readonly status: "failed"; readonly error: ErrorData };

/** What came of asking; never rejects. */
export async function fetched<T>(ask: () => Promise<T>): Promise<Fetched<T>> {
  try {
    return { status: "ready", value: await ask() };
  } catch (error) {
    return { status: "failed", error: toErrorData(error) };
  }
}
