/** Tells this worker's page and other tabs that a list may have changed; what changed is read from the disk. */
import { type StudioChange, studioChange } from "../../src/shared/protocol/library";
import type { Channel } from "./event-hub";

export class Changes {
  readonly #listeners = new Set<(change: StudioChange) => void>();

  constructor(private readonly channel: Channel | null) {
    channel?.addEventListener("message", ({ data }) => {
      const parsed = studioChange.safeParse(data);
      if (parsed.success) this.#deliver(parsed.data);
    });
  }

  publish(change: StudioChange): void {
    this.#deliver(change);
    this.channel?.postMessage(change);
  }

  listen(listener: (change: StudioChange) => void): void {
    this.#listeners.add(listener);
  }

  #deliver(change: StudioChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
