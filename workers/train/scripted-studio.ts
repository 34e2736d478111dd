/** For the unit tests of pipelines: several "tabs" on one disk in memory, with scripted stages. */
import { NagiError } from "../../src/shared/errors";
import type { RunConfig } from "../../src/shared/protocol/config";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { type DirectoryHandle, Folder } from "../engine/io/opfs";
import { MapSource } from "../engine/io/source";
import { ArtefactStore } from "./artefact-store";
import { EventHub } from "./event-hub";
import { Pipelines } from "./pipelines";
import { Remotes } from "./remote/remotes";
import { pullFiles } from "./remote/results";
import { dialWithin, ScriptedWorker, TOKEN } from "./remote/scripted-worker";
import { RemoteSide } from "./remote/side";
import type { Dial } from "./remote/wire";
import { Runs } from "./runs";
import { MemoryLocks, until } from "./scripted";
import type { SessionTools } from "./session";
import { StudioShelf } from "./shelf";

const ROWS = '{"sentence": "良い", "label": "positive"}\n{"sentence": "悪い", "label": "negative"}\n';

export class ScriptedStudio {
  readonly root = new MemoryDirectory("");
  locks = new MemoryLocks();
  /** Stages that were trained, in order: "sft", "sft again" where it was resumed. */
  readonly trained: string[] = [];

  /**
   * @param through what the tab's file operations go through, by default the disk itself
   * @param worker one that the tab knows, under the id "w"
   */
  async tab(
    train: SessionTools["train"],
    through: (root: MemoryDirectory) => DirectoryHandle = (root) => root,
    worker: ScriptedWorker | null = null,
  ): Promise<Tab> {
    const root = new Folder(through(this.root), "");
    const free = async () => this.root.disk.free;
    const seen: string[] = [];
    const dial: Dial = dialWithin(worker ?? new ScriptedWorker());
    const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
    const link = { dial, pause, changed: () => undefined };
    const remotes = await Remotes.open(await root.folder("remotes"), this.locks, link, () => undefined);
    if (worker !== null) await remotes.add({ via: "direct", url: "ws://w", token: TOKEN });
    const artefacts = new ArtefactStore(
      await root.folder("artefacts"),
      this.locks,
      free,
      () => seen.push("artefacts"),
      (record, id, files) => pullFiles(remotes.get(id), record, files),
    );
    const model = async (name: string) => new MapSource(name, new Map([["weights", new Uint8Array(8)]]));
    const data = async (name: string) => ({ name: `${name}.jsonl`, bytes: new TextEncoder().encode(ROWS) });
    const shelf = new StudioShelf({ model, data }, artefacts);
    const hub = new EventHub(null);
    const tools: SessionTools = {
      locks: this.locks,
      hub,
      shelf,
      artefacts,
      data: (reference) => shelf.data(reference),
      train: (work) => {
        this.trained.push(work.resume ? `${work.stage.id} again` : work.stage.id);
        return train(work);
      },
      clock: () => performance.now(),
      remote: worker === null ? null : new RemoteSide(remotes, hub, { shelf, artefacts, data }, artefacts),
    };
    const runs = new Runs(await root.folder("runs"), tools, free, "test");
    const pipelines = new Pipelines(await root.folder("pipelines"), runs, artefacts, this.locks, () =>
      seen.push("pipelines"),
    );
    return { runs, pipelines, artefacts, remotes, seen };
  }

  /** The browser's part when a tab dies: its locks and its open files are freed. */
  kill(): void {
    this.locks = new MemoryLocks();
    this.root.closeAll();
  }
}

export interface Tab {
  readonly runs: Runs;
  readonly pipelines: Pipelines;
  readonly artefacts: ArtefactStore;
  readonly remotes: Remotes;
  /** Changes it was told of. */
  readonly seen: string[];
}

/** The stages' states as one line: "sft finished, merge waiting". */
export async function statesOf({ pipelines }: Tab, pipelineId: string): Promise<string> {
  const { stages } = await pipelines.record(pipelineId);
  return stages.map(({ id, state }) => `${id} ${state}`).join(", ");
}

/** Creates and runs a pipeline to its rest. */
export async function runThrough(tab: Tab, config: RunConfig, reuse = false): Promise<string> {
  const { pipeline_id } = await tab.pipelines.create(config, { reuse });
  await tab.pipelines.run(pipeline_id);
  await tab.pipelines.rest(pipeline_id);
  return pipeline_id;
}

/** Waits until the stage has logged the step. */
export function reached(tab: Tab, pipelineId: string, stage: string, step: number): Promise<void> {
  return until(async () => {
    const { stages } = await tab.pipelines.record(pipelineId);
    return stages.find(({ id }) => id === stage)?.step === step;
  });
}

/**
 * A disk that a tab loses in mid-work: after `operations` that change something, whatever is asynchronous never ends and
 * whatever is not fails. Nothing that happens afterwards reaches the disk.
 */
export class Fuse {
  constructor(private operations: number) {}

  get blown(): boolean {
    return this.operations <= 0;
  }

  /** The tab dies now. */
  blow(): void {
    this.operations = 0;
  }

  /** Counts a change. */
  #burn(): boolean {
    this.operations--;
    return this.operations < 0;
  }

  through(handle: DirectoryHandle): DirectoryHandle {
    const never = new Promise<never>(() => undefined);
    const gone = () => new NagiError("internal", "the tab is dead");
    return {
      kind: "directory",
      name: handle.name,
      values: () => handle.values(),
      getFileHandle: async (name, options) => {
        const file = await (this.blown ? never : handle.getFileHandle(name, options));
        return {
          kind: "file",
          name,
          getFile: () => (this.blown ? never : file.getFile()),
          createSyncAccessHandle: async () => {
            const open = await (this.#burn() ? never : file.createSyncAccessHandle());
            const change = <T>(action: () => T): T => {
              if (this.#burn()) throw gone();
              return action();
            };
            return {
              read: (buffer, at) => open.read(buffer, at),
              write: (buffer, at) => change(() => open.write(buffer, at)),
              truncate: (size) => change(() => open.truncate(size)),
              getSize: () => open.getSize(),
              flush: () => open.flush(),
              close: () => (this.blown ? undefined : open.close()),
            };
          },
        };
      },
      getDirectoryHandle: async (name, options) =>
        this.through(await (this.blown ? never : handle.getDirectoryHandle(name, options))),
      removeEntry: (name, options) => (this.#burn() ? never : handle.removeEntry(name, options)),
    };
  }
}
