/** Carries a run's events to whoever watches it: this worker's subscribers in batches, and other tabs' workers. */
import { type RunEvent, runEvent } from "../../src/shared/protocol/events";

export type EventListener = (events: readonly RunEvent[]) => void;

/** Milliseconds between two batches to one listener. */
const BATCH_EVERY = 100;

/** The part of BroadcastChannel that is used. */
export interface Channel {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
}

class Subscription {
  #waiting: RunEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #held = true;

  constructor(
    readonly runId: string,
    /** seq of the next event that is wanted. */
    private next: number,
    private readonly listener: EventListener,
  ) {}

  add(event: RunEvent): void {
    if (event.seq < this.next) return;
    this.#waiting.push(event);
    if (this.#held) return;
    // What changes the screen's controls must not wait.
    if (event.type === "state") this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_EVERY);
  }

  /** Lets events through from seq `next` on; until then they are kept. */
  release(next: number): void {
    this.next = next;
    this.#waiting = this.#waiting.filter((event) => event.seq >= next);
    this.#held = false;
    this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const events = this.#waiting;
    this.#waiting = [];
    this.listener(events);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }
}

export class EventHub {
  readonly #subscriptions = new Map<number, Subscription>();
  #next = 1;

  constructor(private readonly channel: Channel | null) {
    channel?.addEventListener("message", ({ data }) => {
      const parsed = runEvent.safeParse(data);
      if (parsed.success) this.#deliver(parsed.data);
    });
  }

  publish(event: RunEvent): void {
    this.#deliver(event);
    this.channel?.postMessage(event);
  }

  /**
   * Subscribes first and reads `stored` afterwards, so that no event falls between the two; sends the stored ones from
   * `sinceSeq` on, then what came meanwhile, then live ones.
   */
  async subscribe(
    runId: string,
    sinceSeq: number,
    listener: EventListener,
    stored: () => Promise<readonly RunEvent[]>,
  ): Promise<number> {
    const id = this.#next++;
    const subscription = new Subscription(runId, sinceSeq, listener);
    this.#subscriptions.set(id, subscription);
    try {
      const events = await stored();
      const wanted = events.slice(sinceSeq);
      for (let at = 0; at < wanted.length; at += 10_000) listener(wanted.slice(at, at + 10_000));
      subscription.release(Math.max(events.length, sinceSeq));
    } catch (error) {
      this.unsubscribe(id);
      throw error;
    }
    return id;
  }

  unsubscribe(id: number): void {
    this.#subscriptions.get(id)?.end();
    this.#subscriptions.delete(id);
  }

  #deliver(event: RunEvent): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.runId === event.run_id) subscription.add(event);
    }
  }
}
