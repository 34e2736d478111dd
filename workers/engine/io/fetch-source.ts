/** A folder behind a URL, on the studio's own server. The server lists nothing, so the caller names the files. */
import { NagiError } from "../../../src/shared/errors";
import { type FileSource, fileMissing } from "./source";

export class FetchSource implements FileSource {
  private readonly cache = new Map<string, Promise<Uint8Array>>();

  /** `base` is a URL that ends in "/"; `files` are the paths below it that exist. */
  constructor(
    readonly name: string,
    private readonly base: URL,
    private readonly files: readonly string[],
    private readonly fetcher: typeof fetch = (...request) => fetch(...request),
  ) {}

  async list(): Promise<string[]> {
    return [...this.files].sort();
  }

  async size(path: string): Promise<number> {
    return (await this.load(path)).byteLength;
  }

  async read(path: string, start = 0, end = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    const file = await this.load(path);
    return file.subarray(start, Math.min(end, file.byteLength));
  }

  /** Whole files are kept: bundled ones are small, and a static server need not answer range requests. */
  private load(path: string): Promise<Uint8Array> {
    const known = this.cache.get(path);
    if (known) return known;
    const loading = this.download(path);
    this.cache.set(path, loading);
    loading.catch(() => this.cache.delete(path));
    return loading;
  }

  private async download(path: string): Promise<Uint8Array> {
    if (!this.files.includes(path)) throw fileMissing(path, this.name, await this.list());
    const url = new URL(path, this.base);
    let response: Response;
    try {
      response = await this.fetcher(url);
    } catch (cause) {
      throw new NagiError(
        "model.file_missing",
        `${url} cannot be reached. Check that the studio's server is still running, then try again.`,
        { file: path, source: this.name, found: "" },
        { cause },
      );
    }
    // A single-page server answers unknown paths with its index page.
    const isPage = response.headers.get("content-type")?.startsWith("text/html") ?? false;
    if (!response.ok || isPage) throw fileMissing(path, this.name, []);
    return new Uint8Array(await response.arrayBuffer());
  }
}
