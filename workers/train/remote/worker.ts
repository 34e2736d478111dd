/**
 * A worker that the studio knows: connected while somebody needs it, connected again when the network comes back. What is
 * asked while there is no connection waits for one, or fails at once, as the asker wants.
 */
import { type ErrorData, NagiError } from "../../../src/shared/errors";
import type { CommandResult, WorkerInfo, WorkerStatus } from "../../../src/shared/protocol/remote";
import type { RemoteWorkerRecord, Transfer, WorkerAddress, WorkerState } from "../../../src/shared/protocol/workers";
import { linkAddress } from "./address";
import { type AskName, type CommandOf, Link, LinkLost } from "./link";
import type { Dial } from "./wire";

/** Milliseconds before the first new attempt and at most; twice as long each time. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** Milliseconds for which a worker stays connected that somebody has looked at. */
const LINGER = 60_000;
/** Milliseconds without a sign after which the other side is asked for one, and given up. */
const SILENCE = 30_000;

export interface WorkerTools {
  readonly dial: Dial;
  /** Told after every change of what `record` says. */
  readonly changed: () => void;
  /** Waits some milliseconds, shorter where `signal` fires. Tests make it short. */
  readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

interface Waiter {
  readonly resolve: (link: Link) => void;
  readonly reject: (error: unknown) => void;
  /** Waits through failed attempts and refusals. */
  readonly patient: boolean;
}

export interface AskOptions {
  /** Waits for the worker as long as it takes; otherwise the first failed attempt rejects. */
  readonly patient?: boolean;
  readonly signal?: AbortSignal;
}

export class RemoteWorker {
  info: WorkerInfo | null = null;
  #state: WorkerState = "idle";
  #error: ErrorData | null = null;
  #status: WorkerStatus | null = null;
  #link: Link | null = null;
  #holders = 0;
  #running: AbortController | null = null;
  #linger: ReturnType<typeof setTimeout> | undefined;
  readonly #waiters = new Set<Waiter>();
  readonly #transfers = new Set<Transfer>();

  constructor(
    readonly id: string,
    private address: WorkerAddress,
    private name: string,
    private readonly tools: WorkerTools,
  ) {}

  get record(): RemoteWorkerRecord {
    const { via, url } = this.address;
    const name = this.info?.name ?? this.name;
    const transfers = [...this.#transfers];
    const [state, error, info, status] = [this.#state, this.#error, this.info, this.#status];
    return { id: this.id, name, via, url, state, error, info, status, transfers };
  }

  /** Another address or token: what waits goes on with it. */
  move(address: WorkerAddress, name: string): void {
    const same = JSON.stringify(address) === JSON.stringify(this.address);
    this.address = address;
    this.name = name;
    // Entered again after a refusal: worth another try.
    if (same && this.#state !== "refused") return;
    const wanted = this.#running !== null;
    this.#stop("the address has changed");
    if (wanted) this.#wake();
  }

  /** Keeps the worker connected until the returned function is called. */
  hold(): () => void {
    this.#holders++;
    this.#wake();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      this.touch();
    };
  }

  /** Somebody looks at it: connected for a while. */
  touch(): void {
    clearTimeout(this.#linger);
    this.#wake();
    this.#linger = setTimeout(() => {
      if (this.#holders === 0 && this.#waiters.size === 0) this.#stop("nobody needs it");
      else this.touch();
    }, LINGER);
  }

  /** A connection. @throws worker.unreachable, worker.token, ... unless patient; what `signal` was aborted with */
  link({ patient = false, signal }: AskOptions = {}): Promise<Link> {
    if (this.#link !== null) return Promise.resolve(this.#link);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => settle(() => reject(signal?.reason));
      const settle = (act: () => void) => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", abort);
        act();
      };
      const waiter: Waiter = {
        patient,
        resolve: (link) => settle(() => resolve(link)),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort);
      // Somebody who asks wants to know now: no waiting for the next attempt.
      if (!patient && this.#state !== "connecting") this.#stop("");
      this.touch();
    });
  }

  /**
   * Asks, again after a lost connection: every command of the wire may arrive twice. @throws what the worker refuses with;
   * as `link`
   */
  async ask<N extends AskName>(command: CommandOf<N>, options: AskOptions = {}): Promise<CommandResult<N>> {
    return this.overLinks((link) => link.request<N>(command), options);
  }

  /** Does something over a connection, over a new one where it was lost meanwhile. */
  async overLinks<T>(action: (link: Link) => Promise<T>, options: AskOptions = {}): Promise<T> {
    for (;;) {
      const link = await this.link(options);
      try {
        return await action(link);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof LinkLost)) throw error;
      }
    }
  }

  /** Shows bytes on their way until `end`. */
  transfer(about: Omit<Transfer, "done">): { readonly advance: (done: number) => void; readonly end: () => void } {
    let shown: Transfer = { ...about, done: 0 };
    let last = Number.NEGATIVE_INFINITY;
    this.#transfers.add(shown);
    this.tools.changed();
    return {
      advance: (done) => {
        this.#transfers.delete(shown);
        shown = { ...about, done };
        this.#transfers.add(shown);
        const now = performance.now();
        if (now - last < 250) return;
        last = now;
        this.tools.changed();
      },
      end: () => {
        this.#transfers.delete(shown);
        this.tools.changed();
      },
    };
  }

  /** Ends the connection for good. */
  close(): void {
    clearTimeout(this.#linger);
    this.#stop("the worker was removed from this studio");
    for (const waiter of this.#waiters) waiter.reject(unknownWorker(this.name));
  }

  #wake(): void {
    if (this.#running !== null) return;
    const running = new AbortController();
    this.#running = running;
    void this.#run(running.signal);
  }

  #stop(problem: string): void {
    this.#running?.abort();
    this.#running = null;
    this.#link?.close(problem);
    this.#link = null;
    this.#show("idle", null);
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      this.#show("connecting", this.#error);
      try {
        const { link, info } = await Link.open(linkAddress(this.address), this.tools.dial);
        if (signal.aborted) return link.close("nobody needs it");
        attempt = 0;
        await this.#serve(link, info, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
      }
      if (signal.aborted) return;
      const wait = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt++);
      // Not all tabs at the same moment.
      await this.tools.pause(wait * (0.5 + Math.random() / 2), signal);
    }
  }

  async #serve(link: Link, info: WorkerInfo, signal: AbortSignal): Promise<void> {
    this.#link = link;
    this.info = info;
    this.#show("connected", null);
    link.onStatus = (status) => {
      this.#status = status;
      this.tools.changed();
    };
    const stopWatching = this.#watch(link);
    for (const waiter of this.#waiters) waiter.resolve(link);
    link.request<"subscribe_status">({ name: "subscribe_status" }).catch(() => undefined);
    const reason = await link.gone;
    stopWatching();
    if (signal.aborted) return;
    this.#link = null;
    this.#status = null;
    this.#show("waiting", reason.toData());
  }

  /** A connection can die without a word. */
  #watch(link: Link): () => void {
    let heard = true;
    link.onSign = () => {
      heard = true;
    };
    const timer = setInterval(() => {
      if (!heard) return link.close("it has gone silent");
      heard = false;
      link.request<"status">({ name: "status" }).catch(() => undefined);
    }, SILENCE);
    return () => clearInterval(timer);
  }

  #failed(error: unknown): void {
    const known = error instanceof NagiError ? error : new NagiError("internal", String(error));
    this.#show(known instanceof LinkLost ? "waiting" : "refused", known.toData());
    for (const waiter of this.#waiters) if (!waiter.patient) waiter.reject(known);
  }

  #show(state: WorkerState, error: ErrorData | null): void {
    this.#state = state;
    this.#error = error;
    if (state !== "connected") this.#status = null;
    this.tools.changed();
  }
}

/** worker.unknown {worker}. */
export function unknownWorker(worker: string): NagiError {
  const message = `The worker "${worker}" is not among this studio's workers. Add it again, or choose another place.`;
  return new NagiError("worker.unknown", message, { worker });
}

/** A pause that ends early when `signal` fires, or when the network comes back. */
export function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      globalThis.removeEventListener("online", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
    globalThis.addEventListener("online", end);
  });
}
