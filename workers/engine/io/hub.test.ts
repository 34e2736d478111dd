/** Against a local server with Hugging Face's URL layout that drops connections, knows no ranges, or sends other bytes. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { downloadFile } from "./download";
import { Hub, type HubRepo } from "./hub";
import { MemoryDirectory } from "./memory-directory";
import { Folder } from "./opfs";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const weights = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
const config = new TextEncoder().encode('{"model_type":"gpt_neox"}');

const hex = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

const siblings = [
  { rfilename: "config.json", size: config.length, blobId: hex("sha1", `blob ${config.length}\0`, config) },
  {
    rfilename: "model.safetensors",
    size: weights.length,
    blobId: "f".repeat(40),
    lfs: { sha256: hex("sha256", weights), size: weights.length, pointerSize: 134 },
  },
];

interface Behaviour {
  /** Bytes after which a connection is cut, by request; none: never. */
  readonly cuts?: readonly number[];
  readonly ranges?: boolean;
  /** Damages what is sent, by request. */
  readonly damage?: readonly boolean[];
  readonly token?: string;
  readonly info?: object;
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
});

/** What was asked for, in order: path and Range. */
interface Asked {
  readonly path: string;
  readonly range: string | null;
}

interface Served {
  readonly endpoint: string;
  readonly hub: Hub;
  readonly asked: Asked[];
  readonly folder: Folder;
}

async function serve(behaviour: Behaviour): Promise<Served> {
  const asked: Asked[] = [];
  let sent = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const range = request.headers.range ?? null;
    asked.push({ path: decodeURIComponent(pathname), range });
    if (behaviour.token !== undefined && request.headers.authorization !== `Bearer ${behaviour.token}`) {
      response.writeHead(401).end();
      return;
    }
    if (pathname === "/api/models/cyberagent/open-calm-small/revision/refs%2Fpr%2F1") {
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify(behaviour.info ?? { sha: COMMIT, cardData: { license: "cc-by-sa-4.0" }, siblings, likes: 1 }),
      );
      return;
    }
    const file = pathname.replace(`/cyberagent/open-calm-small/resolve/${COMMIT}/`, "");
    const bytes = { "config.json": config, "model.safetensors": weights }[file];
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    const start = behaviour.ranges === false ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "bytes=0-")?.[1]);
    const part = Uint8Array.from(bytes.subarray(start));
    if (behaviour.damage?.[sent]) part[0] = (part[0] ?? 0) ^ 1;
    const cut = behaviour.cuts?.[sent];
    sent++;
    const partial = range !== null && behaviour.ranges !== false;
    response.writeHead(partial ? 206 : 200, {
      "content-length": part.length,
      ...(partial ? { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (cut === undefined) response.end(part);
    else response.write(part.subarray(0, cut), () => response.destroy());
  };
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  const hub = new Hub({ endpoint, token: behaviour.token ?? null });
  return { endpoint, hub, asked, folder: new Folder(new MemoryDirectory(""), "") };
}

const REPO = "cyberagent/open-calm-small";
const describeRepo = (hub: Hub): Promise<HubRepo> => hub.describe(REPO, "refs/pr/1");

async function download(hub: Hub, folder: Folder, path: string, waits: number[] = []): Promise<void> {
  const repo = await describeRepo(hub);
  const file = repo.files.find((one) => one.path === path);
  if (file === undefined) throw new Error(`the repository has no ${path}`);
  await downloadFile(hub, repo, file, folder, { wait: async (milliseconds) => void waits.push(milliseconds) });
}

describe("a repository", () => {
  it("says its commit, licence and files", async () => {
    const { hub } = await serve({});
    expect(await describeRepo(hub)).toEqual({
      repo: REPO,
      revision: "refs/pr/1",
      commit: COMMIT,
      license: "cc-by-sa-4.0",
      files: [
        { path: "config.json", bytes: config.length, sha256: null, blob: siblings[0]?.blobId },
        { path: "model.safetensors", bytes: weights.length, sha256: hex("sha256", weights), blob: null },
      ],
    });
  });

  it.each(["", "a b", "../etc", "a/b/c", "https://x.y/z", "a/..", "a/.b"])("is not called %j", async (name) => {
    const { hub, asked } = await serve({});
    await expect(hub.describe(name)).rejects.toMatchObject({ code: "hub.bad_name" });
    expect(asked).toEqual([]);
  });

  it("is asked for with the token, and says when that is not enough", async () => {
    const { hub, endpoint } = await serve({ token: "hf_secret" });
    expect((await describeRepo(hub)).commit).toBe(COMMIT);
    await expect(describeRepo(new Hub({ endpoint }))).rejects.toMatchObject({ code: "hub.denied" });
  });

  it("says what is not there, not reachable or not understood", async () => {
    const { hub } = await serve({});
    await expect(hub.describe(REPO, "no-such-branch")).rejects.toMatchObject({ code: "hub.not_found" });
    await expect(hub.describe("nobody/nothing")).rejects.toMatchObject({ code: "hub.not_found" });
    const gone = new Hub({ endpoint: "http://127.0.0.1:1" });
    await expect(describeRepo(gone)).rejects.toMatchObject({ code: "hub.unreachable" });
    const { hub: strange } = await serve({ info: { sha: "main", siblings: [] } });
    await expect(describeRepo(strange)).rejects.toMatchObject({ code: "hub.bad_answer" });
    const { hub: sizeless } = await serve({ info: { sha: COMMIT, siblings: [{ rfilename: "config.json" }] } });
    await expect(describeRepo(sizeless)).rejects.toMatchObject({ code: "hub.bad_answer" });
  });
});

describe("a download", () => {
  it("goes on where a broken connection ended, and nothing is asked for twice", async () => {
    const { hub, asked, folder } = await serve({ cuts: [100_000, 0, 50_000] });
    const waits: number[] = [];
    await download(hub, folder, "model.safetensors", waits);
    expect(await folder.read("model.safetensors")).toEqual(weights);
    const ranges = asked.filter(({ path }) => path.endsWith(".safetensors")).map(({ range }) => range);
    expect(ranges.length).toBe(4);
    expect(ranges[0]).toBeNull();
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "bytes=0-")?.[1] ?? 0));
    expect([...starts].sort((a, b) => a - b)).toEqual(starts);
    expect(waits.length).toBe(3);
  });

  it("goes on in a later session, and does nothing when all is there", async () => {
    const { hub, asked, folder } = await serve({});
    const earlier = await folder.append("model.safetensors");
    earlier.append(weights.subarray(0, 123_456));
    earlier.close();
    await download(hub, folder, "model.safetensors");
    expect(asked.at(-1)).toMatchObject({ range: "bytes=123456-" });
    const before = asked.length;
    await download(hub, folder, "model.safetensors");
    expect(asked.slice(before).map(({ path }) => path)).toEqual([
      "/api/models/cyberagent/open-calm-small/revision/refs/pr/1",
    ]);
    expect(await folder.read("model.safetensors")).toEqual(weights);
  });

  it("begins anew where the server knows no ranges", async () => {
    const { hub, folder } = await serve({ cuts: [100_000], ranges: false });
    await download(hub, folder, "model.safetensors");
    expect(await folder.read("model.safetensors")).toEqual(weights);
  });

  it.each(["config.json", "model.safetensors"])("finds damaged bytes of %s and fetches them again", async (path) => {
    const { hub, asked, folder } = await serve({ damage: [true, false] });
    await download(hub, folder, path);
    expect(await folder.read(path)).toEqual(path === "config.json" ? config : weights);
    expect(asked.filter((one) => one.path.endsWith(path)).length).toBe(2);
  });

  it("keeps nothing that stays damaged", async () => {
    const { hub, folder } = await serve({ damage: [true, true] });
    await expect(download(hub, folder, "config.json")).rejects.toMatchObject({ code: "hub.corrupted" });
    expect(await folder.file("config.json")).toBeNull();
  });

  it("gives up when nothing more arrives, and keeps what has", async () => {
    const { hub, folder } = await serve({ cuts: [1000, 0, 0, 0, 0, 0, 0, 0] });
    await expect(download(hub, folder, "model.safetensors")).rejects.toMatchObject({ code: "hub.unreachable" });
    const stored = (await folder.file("model.safetensors"))?.size ?? 0;
    expect(await folder.read("model.safetensors")).toEqual(weights.subarray(0, stored));
  });

  it("writes no more than was announced", async () => {
    const info = {
      sha: COMMIT,
      siblings: [{ rfilename: "model.safetensors", size: 1000, lfs: { sha256: "0".repeat(64), size: 1000 } }],
    };
    const { hub, folder } = await serve({ info });
    await expect(download(hub, folder, "model.safetensors")).rejects.toMatchObject({ code: "hub.corrupted" });
  });
});
