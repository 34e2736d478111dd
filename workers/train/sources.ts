/** What a reference in a config means in the browser: `bundled:` files of the page's own server, `imported:` ones in OPFS. */
import { BUNDLED_DATASETS, BUNDLED_MODELS } from "../../src/shared/bundled";
import { NagiError } from "../../src/shared/errors";
import { FetchSource } from "../engine/io/fetch-source";
import type { Folder } from "../engine/io/opfs";
import { BlobSource, type FileSource, fileMissing } from "../engine/io/source";
import type { DataFile } from "../engine/train/stage";

export const SPLITS = ["train", "validation", "test"] as const;
export type Split = (typeof SPLITS)[number];

export class Sources {
  /** @param base URL of the public files, ending in "/" */
  constructor(
    private readonly datasets: Folder,
    private readonly models: Folder,
    private readonly base: URL,
    private readonly fetcher: typeof fetch = (...request) => fetch(...request),
  ) {}

  /** `bundled:NAME` or `imported:ID`. @throws model.file_missing */
  async model(reference: string): Promise<FileSource> {
    const { kind, path } = parse(reference);
    if (kind === "bundled") {
      const entry = BUNDLED_MODELS.find((model) => model.reference === reference);
      if (entry !== undefined)
        return new FetchSource(entry.name, new URL(`models/${path}/`, this.base), entry.files, this.fetcher);
      const known = BUNDLED_MODELS.map((model) => model.reference);
      throw fileMissing(reference, "the bundled models", known);
    }
    const folder = kind === "imported" ? await this.models.find(path) : null;
    if (folder === null) {
      throw new NagiError(
        "model.file_missing",
        `The model ${reference} is not on this machine. Open its folder again under Models.`,
        {
          file: reference,
          source: "models",
          found: "",
        },
      );
    }
    const files = new Map<string, File>();
    for (const entry of await folder.entries()) {
      const file = entry.kind === "file" ? await folder.file(entry.name) : null;
      if (file !== null) files.set(entry.name, file);
    }
    return new BlobSource(path, files);
  }

  /** `bundled:NAME/SPLIT` or `imported:ID/SPLIT`. @throws data.unreadable {file, reason} */
  async data(reference: string): Promise<DataFile> {
    const { kind, path } = parse(reference);
    if (kind === "bundled") return this.#bundledData(reference, path);
    const [id, split] = path.split("/");
    const folder = kind === "imported" && id !== undefined ? await this.datasets.find(id) : null;
    const entries = folder === null ? [] : await folder.entries();
    const name = entries.find((entry) => split !== undefined && entry.name.startsWith(`${split}.`))?.name;
    if (folder === null || name === undefined)
      throw unreadable(reference, "it is not on this machine; open the file again under Data");
    return { name: `${id}/${name}`, bytes: await folder.read(name) };
  }

  async #bundledData(reference: string, path: string): Promise<DataFile> {
    const splits = BUNDLED_DATASETS.flatMap((entry) => Object.values(entry.data));
    if (!splits.includes(reference)) throw unreadable(reference, `bundled are ${splits.join(", ")}`);
    const url = new URL(`datasets/${path}.jsonl`, this.base);
    let response: Response;
    try {
      response = await this.fetcher(url);
    } catch (cause) {
      throw unreadable(reference, `${url} cannot be reached; check that the studio's server is still running`, cause);
    }
    // A single-page server answers unknown paths with its index page.
    const isPage = response.headers.get("content-type")?.startsWith("text/html") ?? false;
    if (!response.ok || isPage) throw unreadable(reference, `the server has no ${url.pathname} (${response.status})`);
    return { name: `${path}.jsonl`, bytes: new Uint8Array(await response.arrayBuffer()) };
  }
}

function parse(reference: string): { kind: string; path: string } {
  const colon = reference.indexOf(":");
  return { kind: reference.slice(0, Math.max(0, colon)), path: reference.slice(colon + 1) };
}

function unreadable(reference: string, reason: string, cause?: unknown): NagiError {
  return new NagiError(
    "data.unreadable",
    `${reference} cannot be read: ${reason}.`,
    { file: reference, reason },
    { cause },
  );
}
