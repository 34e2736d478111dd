/**
 * A local server with Hugging Face's URL layout, which can drop connections, ignore ranges, or send other bytes: for
 * tests of what downloads. No hub can be reached from the machines that run them.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export interface Behaviour {
  /** Bytes after which a file's answer is cut off, one number an answer; null or none: never. */
  readonly cuts?: readonly (number | null)[];
  readonly ranges?: boolean;
  /** Whether the first byte of a file's answer is changed, one a answer. */
  readonly damage?: readonly boolean[];
  /** The token that is asked for. */
  readonly token?: string;
  /** The ETag of the files' answers, by name. */
  readonly etags?: Readonly<Record<string, string>>;
  /** Another answer about the repository. */
  readonly info?: object;
  /** Holds the answers of weights back after half of their bytes until it resolves. */
  readonly gate?: Promise<unknown>;
}

/** What was asked for, in order: path and Range. */
export interface Asked {
  readonly path: string;
  readonly range: string | null;
}

export interface HubServer {
  readonly endpoint: string;
  readonly asked: readonly Asked[];
  close(): Promise<void>;
}

const hex = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

const WEIGHTS = /\.(safetensors|bin)$/;

/** A file as the hub's API lists it; weights are in Git LFS. */
export function sibling(path: string, bytes: Uint8Array): object {
  const { length: size } = bytes;
  return WEIGHTS.test(path)
    ? { rfilename: path, size, blobId: "f".repeat(40), lfs: { sha256: hex("sha256", bytes), size, pointerSize: 134 } }
    : { rfilename: path, size, blobId: hex("sha1", `blob ${size}\0`, bytes) };
}

/** Serves `files` as `repo`, at the revisions main and refs/pr/1. */
export async function serveHub(
  repo: string,
  files: Readonly<Record<string, Uint8Array>>,
  behaviour: Behaviour = {},
): Promise<HubServer> {
  const asked: Asked[] = [];
  const info = {
    sha: COMMIT,
    cardData: { license: "cc-by-sa-4.0" },
    siblings: Object.entries(files).map(([path, bytes]) => sibling(path, bytes)),
    likes: 1,
  };
  let sent = 0;
  const answerFile = (path: string, bytes: Uint8Array, range: string | null, response: ServerResponse): void => {
    const partial = range !== null && behaviour.ranges !== false;
    const start = partial ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0;
    const part = Uint8Array.from(bytes.subarray(start));
    if (behaviour.damage?.[sent]) part[0] = (part[0] ?? 0) ^ 1;
    const cut = behaviour.cuts?.[sent];
    sent++;
    const etag = behaviour.etags?.[path];
    if (etag !== undefined) response.setHeader("etag", `"${etag}"`);
    response.writeHead(partial ? 206 : 200, {
      "content-length": part.length,
      ...(partial ? { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (typeof cut === "number") response.write(part.subarray(0, cut), () => response.destroy());
    else if (behaviour.gate && WEIGHTS.test(path)) {
      response.write(part.subarray(0, part.length / 2));
      void behaviour.gate.then(() => response.end(part.subarray(part.length / 2)));
    } else response.end(part);
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = decodeURIComponent(pathname);
    const range = request.headers.range ?? null;
    // As the hub's: any page may read.
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "*");
    response.setHeader("access-control-expose-headers", "content-range, etag");
    if (request.method === "OPTIONS") {
      response.writeHead(204).end();
      return;
    }
    asked.push({ path, range });
    const name = path.replace(`/${repo}/resolve/${COMMIT}/`, "");
    const bytes = files[name];
    if (behaviour.token !== undefined && request.headers.authorization !== `Bearer ${behaviour.token}`)
      response.writeHead(401).end();
    else if ([`main`, "refs/pr/1"].some((revision) => path === `/api/models/${repo}/revision/${revision}`)) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(behaviour.info ?? info));
    } else if (bytes !== undefined) answerFile(name, bytes, range, response);
    else response.writeHead(404).end();
  };
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server listens on a port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    asked,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
