/** Who may work on what, across tabs: Web Locks, freed by the browser when a tab or its worker dies. */
import { NagiError } from "../../src/shared/errors";

export type Release = () => void;

export interface Locks {
  /** Takes the lock if nobody has it; null otherwise. */
  tryHold(name: string): Promise<Release | null>;
  /** Waits for its turn, in the order of the calls. Rejects with an AbortError when `signal` fires first. */
  hold(name: string, signal: AbortSignal): Promise<Release>;
}

/** Tries to take a lock before it counts as another tab's, and milliseconds between two of them. */
const ATTEMPTS = 6;
const PAUSE = 50;

/** Takes the lock, or null: others hold it for a moment when they only look after something. */
export async function tryPatiently(locks: Locks, name: string): Promise<Release | null> {
  for (let attempt = 1; ; attempt++) {
    const release = await locks.tryHold(name);
    if (release !== null || attempt === ATTEMPTS) return release;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

export class WebLocks implements Locks {
  constructor(private readonly manager: LockManager) {}

  /** @throws storage.unavailable in a browser without Web Locks */
  static of(manager: LockManager | undefined): WebLocks {
    if (manager !== undefined) return new WebLocks(manager);
    const message = "this browser has no Web Locks";
    throw new NagiError("storage.unavailable", `${message}; use a current browser over https or localhost.`, {
      message,
    });
  }

  tryHold(name: string): Promise<Release | null> {
    return this.#request(name, { ifAvailable: true });
  }

  async hold(name: string, signal: AbortSignal): Promise<Release> {
    const release = await this.#request(name, { signal });
    if (release === null) throw new NagiError("internal", `the lock ${name} was not granted`, { message: name });
    return release;
  }

  #request(name: string, options: LockOptions): Promise<Release | null> {
    return new Promise((resolve, reject) => {
      this.manager
        .request(name, options, (lock) => {
          if (lock === null) return resolve(null);
          // The lock is held for as long as this promise is pending.
          return new Promise<void>((release) => resolve(release));
        })
        .catch(reject);
    });
  }
}
