/** The workers this browser knows, with their tokens: in OPFS under remotes/workers.json, in no export and no log. */
import { z } from "zod";
import { type RemoteWorkerRecord, type WorkerAddress, workerAddress } from "../../../src/shared/protocol/workers";
import type { Folder } from "../../engine/io/opfs";
import type { Locks } from "../locks";
import { completeAddress, linkAddress } from "./address";
import { Link } from "./link";
import { RemoteWorker, unknownWorker, type WorkerTools } from "./worker";

const FILE = "workers.json";
const LOCK = "nagi/remotes";

const storedWorkers = z.array(
  z.strictObject({ id: z.string().min(1), name: z.string().min(1), address: workerAddress }),
);
type StoredWorker = z.infer<typeof storedWorkers>[number];

export class Remotes {
  readonly #workers = new Map<string, RemoteWorker>();

  private constructor(
    private readonly folder: Folder,
    private readonly locks: Locks,
    private readonly tools: WorkerTools,
    /** Told after the list has changed: other tabs read it again. */
    private readonly listChanged: () => void,
  ) {}

  static async open(folder: Folder, locks: Locks, tools: WorkerTools, listChanged: () => void): Promise<Remotes> {
    const remotes = new Remotes(folder, locks, tools, listChanged);
    await remotes.reload();
    return remotes;
  }

  find(id: string): RemoteWorker | null {
    return this.#workers.get(id) ?? null;
  }

  /** @throws worker.unknown {worker} */
  get(id: string): RemoteWorker {
    const found = this.find(id);
    if (found === null) throw unknownWorker(id);
    return found;
  }

  /** Whoever lists them keeps them connected for a while. */
  list(): RemoteWorkerRecord[] {
    const workers = [...this.#workers.values()];
    for (const worker of workers) worker.touch();
    return workers.map(({ record }) => record);
  }

  /** Connects once, then keeps the address. @throws worker.*, relay.*, storage.* */
  async add(given: WorkerAddress): Promise<RemoteWorkerRecord> {
    const address = completeAddress(given);
    const { link, info } = await Link.open(linkAddress(address), this.tools.dial);
    link.close("only tried");
    const entry: StoredWorker = { id: info.worker_id, name: info.name, address };
    await this.#change((stored) =>
      stored.some(({ id }) => id === entry.id)
        ? stored.map((one) => (one.id === entry.id ? entry : one))
        : [...stored, entry],
    );
    const worker = this.get(entry.id);
    worker.info = info;
    worker.touch();
    return worker.record;
  }

  /** Forgets the worker's address and token. */
  remove(id: string): Promise<void> {
    return this.#change((stored) => stored.filter((one) => one.id !== id));
  }

  /** Reads the list again, as another tab may have written it. */
  async reload(): Promise<void> {
    const stored = (await this.folder.readJson(FILE, storedWorkers)) ?? [];
    const kept = new Set(stored.map(({ id }) => id));
    for (const [id, worker] of this.#workers) {
      if (kept.has(id)) continue;
      worker.close();
      this.#workers.delete(id);
    }
    for (const { id, name, address } of stored) {
      const known = this.#workers.get(id);
      if (known === undefined) this.#workers.set(id, new RemoteWorker(id, address, name, this.tools));
      else known.move(address, name);
    }
  }

  async #change(change: (stored: readonly StoredWorker[]) => StoredWorker[]): Promise<void> {
    const release = await this.locks.hold(LOCK, new AbortController().signal);
    try {
      await this.folder.writeJson(FILE, change((await this.folder.readJson(FILE, storedWorkers)) ?? []));
    } finally {
      release();
    }
    await this.reload();
    this.listChanged();
  }
}
