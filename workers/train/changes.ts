/** Tells this worker's page and other tabs that a list may have changed; what changed is read from the disk. */
import { type StudioChange, studioChange } from "../../src/shared/protocol/library";
import type { Channel } from "./event-hub";

export class Changes {
  readonly #listeners = new Set<(change: StudioChange) => void>();
  readonly #foreign = new Map<StudioChange, () => void>();

  constructor(private readonly channel: Channel | null) {
    channel?.addEventListener("message", ({ data }) => {
      const parsed = studioChange.safeParse(data);
      if (!parsed.success) return;
      this.#foreign.get(parsed.data)?.();
      this.deliver(parsed.data);
    });
  }

  /** Told first of a change that another tab has made. */
  onForeign(change: StudioChange, listener: () => void): void {
    this.#foreign.set(change, listener);
  }

  publish(change: StudioChange): void {
    this.deliver(change);
    this.channel?.postMessage(change);
  }

  listen(listener: (change: StudioChange) => void): void {
    this.#listeners.add(listener);
  }

  /** Tells this tab only. */
  deliver(change: StudioChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
