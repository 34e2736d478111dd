/**
 * Reads from a Hugging Face hub, or any server with its URL layout, without an account's cookies: what a repository holds,
 * and its files as resumable streams. Where files are kept is download.ts and who asks for them.
 *
 *     GET {endpoint}/api/models/{repo}/revision/{revision}?blobs=true   files with sizes and hashes, commit, licence
 *     GET {endpoint}/{repo}/resolve/{commit}/{path}                     a file's bytes; understands Range
 *
 * @huggingface/hub does the same but neither continues a download that was cut nor checks what has arrived.
 */
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";

export const HUGGING_FACE = "https://huggingface.co";

export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** Hex; of files in Git LFS (weights). */
  readonly sha256: string | null;
  /** Git's name of the file: SHA-1 of "blob SIZE\0" and its bytes. Null where the server does not say. */
  readonly blob: string | null;
}

export interface HubRepo {
  readonly repo: string;
  /** As asked for: a branch, tag, refs/pr/N or commit. */
  readonly revision: string;
  /** What the revision stood for. Files are read from it, so that all are of one state. */
  readonly commit: string;
  /** The model card's, for instance "cc-by-sa-4.0". */
  readonly license: string | null;
  readonly files: readonly HubFile[];
}

export interface HubOptions {
  readonly endpoint?: string;
  /** Of an account, for gated and private repositories. Sent to the endpoint's own origin, and written nowhere. */
  readonly token?: string | null;
  readonly fetcher?: typeof fetch;
}

/** A part of a file as it comes. `offset` may be 0 though more was asked for: then the server does not know Range. */
export interface HubStream {
  readonly offset: number;
  readonly body: ReadableStream<Uint8Array>;
  /** The hash in the answer's ETag: SHA-256 of files in Git LFS, Git's name of others; null where it holds none. */
  readonly etag: string | null;
}

/** Only what is used; the hub's answer has much more. */
const modelInfo = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z.object({ license: z.unknown() }).partial().nullish(),
  siblings: z.array(
    z.object({
      rfilename: z.string().min(1),
      size: z.int().min(0).nullish(),
      blobId: z.string().nullish(),
      lfs: z.object({ sha256: z.string(), size: z.int().min(0) }).nullish(),
    }),
  ),
});

/** "owner/name" or the older "name", each part as the hub allows it. */
const REPO = /^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}$/;
const encodePath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

export class Hub {
  readonly #endpoint: URL;
  readonly #token: string | null;
  readonly #fetch: typeof fetch;

  constructor({ endpoint = HUGGING_FACE, token = null, fetcher = (...request) => fetch(...request) }: HubOptions = {}) {
    this.#endpoint = new URL(endpoint.endsWith("/") ? endpoint : `${endpoint}/`);
    this.#token = token === "" ? null : token;
    this.#fetch = fetcher;
  }

  /** @throws hub.bad_name, hub.not_found, hub.denied, hub.unreachable, hub.bad_answer */
  async describe(repo: string, revision = "main"): Promise<HubRepo> {
    if (!REPO.test(repo) || repo.includes("..") || revision === "")
      throw new NagiError(
        "hub.bad_name",
        `"${repo}" is no name of a repository. Write owner/name, for instance cyberagent/open-calm-small.`,
        { repo },
      );
    // A revision is one part of the path, its slashes included (refs/pr/1).
    const path = `api/models/${encodePath(repo)}/revision/${encodeURIComponent(revision)}?blobs=true`;
    const response = await this.#get(path, repo, {});
    const parsed = modelInfo.safeParse(await response.json().catch(() => null));
    if (!parsed.success) {
      const reason = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`)[0] ?? "";
      throw badAnswer(repo, reason);
    }
    const { sha, cardData, siblings } = parsed.data;
    return {
      repo,
      revision,
      commit: sha,
      license: typeof cardData?.license === "string" ? cardData.license : null,
      files: siblings.map(({ rfilename, size, blobId, lfs }) => {
        const bytes = lfs?.size ?? size;
        if (bytes === null || bytes === undefined) throw badAnswer(repo, `the size of ${rfilename} is missing`);
        return { path: rfilename, bytes, sha256: lfs?.sha256 ?? null, blob: lfs ? null : (blobId ?? null) };
      }),
    };
  }

  /** A file's bytes from `offset` on. Rejects as `describe` does; the stream itself may break. */
  async open({ repo, commit }: HubRepo, file: HubFile, offset: number, signal?: AbortSignal): Promise<HubStream> {
    const path = `${encodePath(repo)}/resolve/${commit}/${encodePath(file.path)}`;
    const response = await this.#get(path, repo, {
      ...(offset > 0 ? { headers: { range: `bytes=${offset}-` } } : {}),
      ...(signal ? { signal } : {}),
    });
    const { body } = response;
    if (body === null) throw badAnswer(repo, `${file.path} came without a body`);
    return { offset: response.status === 206 ? rangeStart(response, offset) : 0, body, etag: hashIn(response) };
  }

  async #get(path: string, repo: string, init: RequestInit): Promise<Response> {
    const url = new URL(path, this.#endpoint);
    const headers = new Headers(init.headers);
    // fetch drops it when a redirect leaves the origin, as the hub's do for weights.
    if (this.#token !== null) headers.set("authorization", `Bearer ${this.#token}`);
    let response: Response;
    try {
      response = await this.#fetch(url, { ...init, headers, credentials: "omit", referrerPolicy: "no-referrer" });
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw unreachable(this.#endpoint.origin, cause);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    const { status } = response;
    const origin = this.#endpoint.origin;
    if (status === 401 || status === 403)
      throw new NagiError(
        "hub.denied",
        `${origin} does not give ${repo} to you (HTTP ${status}). Accept the model's terms there and enter an access token, or check the name.`,
        { repo, origin, status },
      );
    if (status === 404)
      throw new NagiError(
        "hub.not_found",
        `${origin} has no ${url.pathname} (HTTP 404). Check the name and the revision.`,
        { repo, origin, path: url.pathname },
      );
    throw unreachable(origin, undefined, `HTTP ${status}`);
  }
}

/** Hugging Face's ETag is the file's hash; X-Linked-ETag has it where the bytes come from elsewhere. */
function hashIn({ headers }: Response): string | null {
  const tag = headers.get("x-linked-etag") ?? headers.get("etag") ?? "";
  return /^(?:W\/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(tag)?.[1] ?? null;
}

/** Where the bytes of a partial answer begin. */
function rangeStart(response: Response, asked: number): number {
  const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  // Cross-origin, the header may be hidden: a 206 then begins where it was asked to.
  return start === undefined ? asked : Number(start);
}

/** hub.unreachable: details { origin, reason }. Worth another try. */
export function unreachable(origin: string, cause: unknown, reason = causeOf(cause)): NagiError {
  return new NagiError(
    "hub.unreachable",
    `${origin} cannot be reached (${reason}). What has arrived is kept: try again and it goes on from there.`,
    { origin, reason },
    { cause },
  );
}

const causeOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function badAnswer(repo: string, reason: string): NagiError {
  return new NagiError("hub.bad_answer", `The hub's answer about ${repo} cannot be used: ${reason}.`, { repo, reason });
}
