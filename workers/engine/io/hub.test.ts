/** Against a local server with Hugging Face's URL layout that drops connections, knows no ranges, or sends other bytes. */
import { afterEach, describe, expect, it } from "vitest";
import { type Behaviour, COMMIT, type HubServer, serveHub, sibling } from "../../../e2e/hub-server";
import { downloadFile } from "./download";
import { Hub, type HubRepo } from "./hub";
import { MemoryDirectory } from "./memory-directory";
import { Folder } from "./opfs";

const weights = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
const config = new TextEncoder().encode('{"model_type":"gpt_neox"}');

const REPO = "cyberagent/open-calm-small";

const servers: HubServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(behaviour: Behaviour) {
  const server = await serveHub(REPO, { "config.json": config, "model.safetensors": weights }, behaviour);
  servers.push(server);
  const { endpoint, asked } = server;
  const hub = new Hub({ endpoint, token: behaviour.token ?? null });
  return { endpoint, asked, hub, folder: new Folder(new MemoryDirectory(""), "") };
}

const describeRepo = (hub: Hub): Promise<HubRepo> => hub.describe(REPO, "refs/pr/1");

async function download(hub: Hub, folder: Folder, path: string, waits: number[] = []): Promise<void> {
  const repo = await describeRepo(hub);
  const file = repo.files.find((one) => one.path === path);
  if (file === undefined) throw new Error(`the repository has no ${path}`);
  await downloadFile(hub, repo, file, folder, { wait: async (milliseconds) => void waits.push(milliseconds) });
}

/** toEqual looks at every element by itself, which takes seconds. */
async function expectStored(folder: Folder, path: string, bytes: Uint8Array): Promise<void> {
  expect(Buffer.compare(await folder.read(path), bytes)).toBe(0);
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
        // git hash-object of the file; sha256sum of the weights.
        { path: "config.json", bytes: 25, sha256: null, blob: "59e2b1780f49f734fbd51690d76b23fc52752acb" },
        {
          path: "model.safetensors",
          bytes: 300_000,
          sha256: "7746f603692a686cd64102485f55a005fd9521e026974d885676c0a486c0b2ae",
          blob: null,
        },
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
    await expectStored(folder, "model.safetensors", weights);
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
    await expectStored(folder, "model.safetensors", weights);
  });

  it("begins anew where the server knows no ranges", async () => {
    const { hub, folder } = await serve({ cuts: [100_000], ranges: false });
    await download(hub, folder, "model.safetensors");
    await expectStored(folder, "model.safetensors", weights);
  });

  it.each(["config.json", "model.safetensors"])("finds damaged bytes of %s and fetches them again", async (path) => {
    const { hub, asked, folder } = await serve({ damage: [true, false] });
    await download(hub, folder, path);
    await expectStored(folder, path, path === "config.json" ? config : weights);
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
    await expectStored(folder, "model.safetensors", weights.subarray(0, stored));
  });

  it("compares with the ETag where the list of files has no hash", async () => {
    const sha256 = "7746f603692a686cd64102485f55a005fd9521e026974d885676c0a486c0b2ae";
    const info = { sha: COMMIT, siblings: [{ rfilename: "model.safetensors", size: weights.length }] };
    const right = await serve({ info, etags: { "model.safetensors": sha256 }, damage: [true] });
    await download(right.hub, right.folder, "model.safetensors");
    await expectStored(right.folder, "model.safetensors", weights);
    const wrong = await serve({ info, etags: { "model.safetensors": sha256.replace("7", "8") } });
    await expect(download(wrong.hub, wrong.folder, "model.safetensors")).rejects.toMatchObject({
      code: "hub.corrupted",
    });
    const other = await serve({ info, etags: { "model.safetensors": "some-version" } });
    await download(other.hub, other.folder, "model.safetensors");
    await expectStored(other.folder, "model.safetensors", weights);
  });

  it("writes no more than was announced", async () => {
    const info = {
      sha: COMMIT,
      siblings: [sibling("model.safetensors", weights.subarray(0, 1000))],
    };
    const { hub, folder } = await serve({ info });
    await expect(download(hub, folder, "model.safetensors")).rejects.toMatchObject({ code: "hub.corrupted" });
  });
});
