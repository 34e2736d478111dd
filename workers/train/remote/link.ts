/**
 * One connection to a worker, from the handshake to its end: requests and their answers, blobs, pushed events. A link is
 * never mended: `RemoteWorker` makes another one.
 */
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";
import type { RunEvent } from "../../../src/shared/protocol/events";
import {
  type ClientMessage,
  type CommandResult,
  commandResults,
  type RemoteCommand,
  type WorkerInfo,
  type WorkerMessage,
  type WorkerStatus,
  workerMessage,
} from "../../../src/shared/protocol/remote";
import { badMessage, decodeBlob, encodeFrame, parseJson } from "./frames";
import type { Dial, Wire } from "./wire";

export interface LinkAddress {
  readonly url: string;
  readonly token: string;
  /** The relay's part of a pairing code; null for a direct connection. */
  readonly code: string | null;
  readonly schemaHash: string;
}

/** Commands that are answered in JSON. */
export type AskName = RemoteCommand["name"] & keyof typeof commandResults;
export type CommandOf<N extends AskName> = Extract<RemoteCommand, { name: N }>;

/** A relay's word that the worker is there: from now on the frames are the worker's. */
const paired = z.strictObject({ type: z.literal("paired") });

interface Pending {
  readonly settle: (result: unknown) => void;
  readonly fail: (error: NagiError) => void;
}

type EventListener = (events: readonly RunEvent[]) => void;

/** Says that the connection is gone, not that the worker has refused something. */
export class LinkLost extends NagiError {}

export class Link {
  /** Resolves with the reason when the connection is gone. */
  readonly gone: Promise<LinkLost>;
  onStatus: (status: WorkerStatus) => void = () => undefined;
  /** Told of everything that arrives: the other side lives. */
  onSign: () => void = () => undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<string, EventListener>();
  #nextId = 1;
  #wire: Wire;
  #lost: LinkLost | null = null;
  #end: (reason: LinkLost) => void = () => undefined;

  private constructor(
    private readonly address: LinkAddress,
    dial: Dial,
    private readonly welcomed: (info: WorkerInfo) => void,
    private readonly refused: (error: NagiError) => void,
  ) {
    this.gone = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#wire = dial(address.url, {
      opened: () => (address.code === null ? this.#hello() : this.#send({ type: "pair", code: address.code })),
      received: (frame) => this.#received(frame),
      closed: (code, reason) => this.#closed(code, reason),
    });
  }

  /**
   * Connects and says hello. @throws LinkLost (worker.unreachable {url, problem}) where nobody answers; worker.token,
   * worker.schema, relay.unknown_code and what else the other side refuses with
   */
  static open(address: LinkAddress, dial: Dial): Promise<{ link: Link; info: WorkerInfo }> {
    return new Promise((resolve, reject) => {
      try {
        const link: Link = new Link(address, dial, (info) => resolve({ link, info }), reject);
      } catch (cause) {
        reject(unreachable(address.url, cause instanceof Error ? cause.message : String(cause)));
      }
    });
  }

  /** @throws LinkLost; whatever the worker answers with */
  async request<N extends AskName>(command: CommandOf<N>): Promise<CommandResult<N>> {
    const asked: Extract<RemoteCommand, { name: AskName }> = command;
    return checkedResult<N>(asked.name, await this.#command(command));
  }

  /** A piece of a blob, at the offset where the worker wants it. */
  async writeBlob(
    sha256: string,
    offset: number,
    total: number,
    bytes: Uint8Array,
  ): Promise<CommandResult<"write_blob">> {
    const result = await this.#ask((request_id) =>
      this.#wire.send(encodeFrame({ type: "write_blob", request_id, sha256, offset, total }, bytes)),
    );
    return commandResults.write_blob.parse(result);
  }

  /** Up to `bytes` bytes of a blob from `offset` on. */
  async readBlob(sha256: string, offset: number, bytes: number): Promise<Uint8Array> {
    const result = await this.#command({ name: "read_blob", sha256, offset, bytes });
    if (result instanceof Uint8Array) return result;
    throw badMessage("read_blob was answered without a blob");
  }

  /**
   * Tells `listener` of a run's events from `sinceSeq` on. Those that an earlier subscription still sends are left out:
   * they come before the answer. One listener a run.
   */
  async subscribe(run_id: string, since_seq: number, listener: EventListener): Promise<CommandResult<"subscribe">> {
    this.#listeners.delete(run_id);
    const listen = () => void this.#listeners.set(run_id, listener);
    const result = await this.#command({ name: "subscribe", run_id, since_seq }, listen);
    return checkedResult<"subscribe">("subscribe", result);
  }

  unsubscribe(run_id: string): void {
    this.#listeners.delete(run_id);
    this.request<"unsubscribe">({ name: "unsubscribe", run_id }).catch(() => undefined);
  }

  close(problem: string): void {
    this.#wire.close();
    this.#lose(unreachable(this.address.url, problem));
  }

  #command(command: RemoteCommand, answered?: () => void): Promise<unknown> {
    return this.#ask(
      (request_id) => this.#wire.send(JSON.stringify({ type: "request", request_id, command } satisfies ClientMessage)),
      answered,
    );
  }

  /** @param answered called as soon as a good answer is here, before anything that follows it is looked at */
  #ask(send: (requestId: number) => void, answered?: () => void): Promise<unknown> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    const id = this.#nextId++;
    return new Promise((settle, fail) => {
      const done = (result: unknown) => {
        answered?.();
        settle(result);
      };
      this.#pending.set(id, { settle: done, fail });
      send(id);
    });
  }

  #hello(): void {
    const { token, schemaHash } = this.address;
    this.#wire.send(JSON.stringify({ type: "hello", schema_hash: schemaHash, token } satisfies ClientMessage));
  }

  #send(message: { readonly type: "pair"; readonly code: string }): void {
    this.#wire.send(JSON.stringify(message));
  }

  #received(frame: string | Uint8Array): void {
    this.onSign();
    try {
      if (typeof frame === "string") this.#message(parseJson(frame));
      else this.#blob(frame);
    } catch (error) {
      // What cannot be read is no base for anything that follows.
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  #message(raw: unknown): void {
    if (this.address.code !== null && paired.safeParse(raw).success) {
      this.#hello();
      return;
    }
    const parsed = workerMessage.safeParse(raw);
    if (!parsed.success) throw badMessage(parsed.error.issues[0]?.message ?? "a message of no known kind");
    this.#take(parsed.data);
  }

  #take(message: WorkerMessage): void {
    switch (message.type) {
      case "welcome":
        this.welcomed(message.worker);
        break;
      case "refused":
        this.refused(NagiError.fromData(message.error));
        break;
      case "response": {
        const pending = this.#pending.get(message.request_id);
        this.#pending.delete(message.request_id);
        if (message.ok) pending?.settle(message.result);
        else pending?.fail(NagiError.fromData(message.error));
        break;
      }
      case "events":
        this.#listeners.get(message.run_id)?.(message.events);
        break;
      case "status": {
        const { type: _, ...status } = message;
        this.onStatus(status);
        break;
      }
    }
  }

  #blob(frame: Uint8Array): void {
    const { header, bytes } = decodeBlob(frame);
    const pending = this.#pending.get(header.request_id);
    this.#pending.delete(header.request_id);
    pending?.settle(bytes);
  }

  #closed(code: number, reason: string): void {
    this.#lose(unreachable(this.address.url, reason === "" ? `the connection was closed (${code})` : reason));
  }

  #lose(reason: LinkLost): void {
    if (this.#lost !== null) return;
    this.#lost = reason;
    for (const { fail } of this.#pending.values()) fail(reason);
    this.#pending.clear();
    this.#listeners.clear();
    // Nothing where it was welcomed or refused before.
    this.refused(reason);
    this.#end(reason);
  }
}

/** @throws worker.bad_message {problem} */
function checkedResult<N extends AskName>(name: AskName, result: unknown): CommandResult<N>;
function checkedResult(name: AskName, result: unknown): unknown {
  const parsed = commandResults[name].safeParse(result);
  if (parsed.success) return parsed.data;
  throw badMessage(`${name} was answered with something else (${parsed.error.issues[0]?.path.join(".")})`);
}

/** worker.unreachable {url, problem}. */
function unreachable(url: string, problem: string): LinkLost {
  const message = `The worker at ${url} cannot be reached: ${problem}. Check that it runs and that the address is right.`;
  return new LinkLost("worker.unreachable", message, { url, problem });
}
