/** An action of a button: whether it is under way, and the error of the last attempt. */
import { useCallback, useState } from "react";
import { type ErrorData, toErrorData } from "../../shared/errors";

export interface Action {
  readonly busy: boolean;
  readonly error: ErrorData | null;
  /** Resolves to whether it went well; never rejects. */
  run(action: () => Promise<void>): Promise<boolean>;
  clear(): void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ErrorData | null>(null);
  const run = useCallback(async (action: () => Promise<void>): Promise<boolean> => {
    setBusy(true);
    setError(null);
    try {
      await action();
      return true;
    } catch (thrown) {
      setError(toErrorData(thrown));
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  const clear = useCallback(() => setError(null), []);
  return { busy, error, run, clear };
}
