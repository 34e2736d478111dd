/**
 * Models that come from a hub: downloads that go on after a closed tab, and become entries of the library once every file
 * was found right and the model usable.
 */
import { type ErrorData, NagiError, toErrorData } from "../../src/shared/errors";
import {
  type DownloadState,
  type ModelDownload,
  type ModelEntry,
  type ModelRequest,
  modelDownload,
} from "../../src/shared/protocol/library";
import type { FreeBytes } from "../engine/io/checkpoint-shelf";
import { downloadFile } from "../engine/io/download";
import { HUGGING_FACE, Hub } from "../engine/io/hub";
import { readCredit } from "../engine/io/model-card";
import type { Folder } from "../engine/io/opfs";
import { checkModel, DOWNLOAD, ENTRY, neededFiles, newModelId, withCredit, writeCredit } from "./model-library";
import type { Sources } from "./sources";

/** Milliseconds between two words about bytes that have come. */
const TELL_EVERY = 250;

interface Active {
  readonly abort: AbortController;
  stored: number;
  /** Never rejects. */
  done: Promise<void>;
}

export class ModelDownloads {
  /** Those that are working, by id. */
  readonly #active = new Map<string, Active>();
  /** Why one does not work any more, by id, until it is begun again. */
  readonly #errors = new Map<string, ErrorData>();
  #told = 0;
  /** Set while a word is due: the last bytes before a pause are told as well. */
  #due: ReturnType<typeof setTimeout> | null = null;

  /**
   * @param folder that of the model library
   * @param changed told "downloads" when one begins or ends, and now and then while it works; "models" when there is
   *   another one
   */
  constructor(
    private readonly folder: Folder,
    private readonly sources: Pick<Sources, "model">,
    private readonly free: FreeBytes,
    private readonly changed: (change: "downloads" | "models") => void,
  ) {}

  /** The oldest first. */
  async list(): Promise<DownloadState[]> {
    return Promise.all((await this.#stored()).map((download) => this.#state(download)));
  }

  /**
   * Begins to bring a model here; resolves once it is under way. One that was begun before (same hub, repository and
   * revision) goes on where it ended, at the commit it was begun with. How it ends is in `list`, and an entry of the
   * library if all went well.
   * @throws hub.*, storage.quota, storage.busy (it is being downloaded), model.file_missing (there is no model)
   */
  async start(request: ModelRequest): Promise<DownloadState> {
    const endpoint = request.endpoint ?? HUGGING_FACE;
    const hub = new Hub({ endpoint, token: request.token });
    const begun = (await this.#stored()).find(
      ({ origin }) =>
        origin.endpoint === endpoint && origin.repo === request.repo && origin.revision === request.revision,
    );
    const download = begun ?? (await this.#begin(hub, endpoint, request));
    const { id, files } = download;
    if (this.#active.has(id))
      throw new NagiError("storage.busy", `${request.repo} is being downloaded already.`, {
        what: "model",
        name: request.repo,
      });
    const active: Active = { abort: new AbortController(), stored: 0, done: Promise.resolve() };
    this.#active.set(id, active);
    this.#errors.delete(id);
    active.stored = await this.#size(id, files);
    active.done = this.#work(hub, download, active);
    this.changed("downloads");
    return this.#state(download);
  }

  /** Resolves when nobody works on a download any more. */
  async rest(id: string): Promise<void> {
    await this.#active.get(id)?.done;
  }

  async #work(hub: Hub, download: ModelDownload, active: Active): Promise<void> {
    try {
      await this.#refuseFull(total(download.files) - active.stored);
      await this.#fetch(hub, download, active);
      await this.#finish(download);
      this.changed("models");
    } catch (error) {
      if (!active.abort.signal.aborted) this.#errors.set(download.id, toErrorData(error));
    } finally {
      this.#active.delete(download.id);
      this.changed("downloads");
    }
  }

  async #state({ id, origin, files }: ModelDownload): Promise<DownloadState> {
    const active = this.#active.get(id);
    return {
      id,
      origin,
      stored: active?.stored ?? (await this.#size(id, files)),
      total: total(files),
      active: active !== undefined,
      error: this.#errors.get(id) ?? null,
    };
  }

  /** Ends the work on a download; what has arrived stays. */
  async stop(id: string): Promise<void> {
    this.#active.get(id)?.abort.abort();
    await this.rest(id);
  }

  /** Gives a download up, with what has arrived. */
  async remove(id: string): Promise<void> {
    await this.stop(id);
    this.#errors.delete(id);
    await this.folder.remove(id);
    this.changed("downloads");
  }

  async #begin(hub: Hub, endpoint: string, { repo, revision }: ModelRequest): Promise<ModelDownload> {
    const found = await hub.describe(repo, revision);
    const files = neededFiles(found.files.filter(({ path }) => !path.includes("/")));
    const { commit, license } = found;
    const id = newModelId(repo.split("/").at(-1) ?? repo);
    const origin = { endpoint, repo, revision, commit, license };
    const download: ModelDownload = { id, origin, files, created: Date.now() };
    await this.#refuseFull(total(files));
    await (await this.folder.folder(id)).writeJson(DOWNLOAD, download);
    return download;
  }

  async #fetch(hub: Hub, { id, origin, files }: ModelDownload, active: Active): Promise<void> {
    const folder = await this.folder.folder(id);
    const { signal } = active.abort;
    let before = 0;
    // The largest last: a wrong configuration or a missing tokenizer shows early.
    for (const file of files.toSorted((a, b) => a.bytes - b.bytes)) {
      signal.throwIfAborted();
      await downloadFile(hub, { ...origin, files }, file, folder, {
        signal,
        onBytes: (stored) => {
          active.stored = before + stored;
          this.#tell();
        },
      });
      before += file.bytes;
    }
    signal.throwIfAborted();
  }

  async #finish({ id, origin, files }: ModelDownload): Promise<void> {
    const folder = await this.folder.folder(id);
    const reference = `imported:${id}`;
    const source = await this.sources.model(reference);
    await checkModel(source);
    const { endpoint, repo, license } = origin;
    const url = `${endpoint.replace(/\/$/, "")}/${repo}`;
    const credit = await readCredit(source, { name: repo, url, license });
    await writeCredit(folder, credit);
    const entry: ModelEntry = {
      id,
      name: repo,
      source: "imported",
      reference,
      files: withCredit(files.map(({ path }) => path)),
      bytes: total(files),
      created: Date.now(),
      origin,
      credit,
    };
    await folder.writeJson(ENTRY, entry);
    await folder.remove(DOWNLOAD);
  }

  #tell(): void {
    if (this.#due !== null) return;
    const wait = Math.max(0, this.#told + TELL_EVERY - Date.now());
    this.#due = setTimeout(() => {
      this.#due = null;
      this.#told = Date.now();
      this.changed("downloads");
    }, wait);
  }

  async #stored(): Promise<ModelDownload[]> {
    const found: ModelDownload[] = [];
    for (const { name } of await this.folder.entries()) {
      const folder = await this.folder.find(name);
      const download = await folder?.readJson(DOWNLOAD, modelDownload);
      if (download && (await folder?.file(ENTRY)) === null) found.push(download);
    }
    return found.sort((a, b) => a.created - b.created);
  }

  /** Bytes of a download that are stored. */
  async #size(id: string, files: ModelDownload["files"]): Promise<number> {
    const folder = await this.folder.find(id);
    let sum = 0;
    for (const { path } of files) sum += (await folder?.file(path))?.size ?? 0;
    return sum;
  }

  async #refuseFull(needed: number): Promise<void> {
    const available = await this.free();
    if (available === null || available >= needed) return;
    throw new NagiError(
      "storage.quota",
      `The model needs ${needed} bytes, but the browser grants only ${available} more to this site. Delete old runs or free disk space.`,
      { needed, available },
    );
  }
}

const total = (files: ModelDownload["files"]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
