/** Models from a local hub into the library: continued in another session, refused, given up. */
import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type Behaviour, COMMIT, type HubServer, serveHub } from "../../e2e/hub-server";
import { torchFile } from "../../e2e/torch-file";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { writeSafetensors } from "../engine/io/safetensors";
import { MapSource } from "../engine/io/source";
import { wholeTensor } from "../engine/io/tensors";
import { openWeights } from "../engine/io/weights";
import { ModelDownloads } from "./model-downloads";
import { checkModel, ModelLibrary } from "./model-library";
import { Sources } from "./sources";

const REPO = "cyberagent/open-calm-small";
const GOLDEN = new URL("../engine/golden/lm-sequential/model/", import.meta.url);
const TOKENIZER = new URL("../../public/models/nagi-base/", import.meta.url);

const read = async (folder: URL, path: string) => new Uint8Array(await readFile(new URL(path, folder)));

async function modelFiles(): Promise<Record<string, Uint8Array>> {
  return {
    "README.md": new TextEncoder().encode("# a model"),
    "config.json": await read(GOLDEN, "config.json"),
    "model.safetensors": await read(GOLDEN, "model.safetensors"),
    "tokenizer.json": await read(TOKENIZER, "tokenizer.json"),
    "tokenizer_config.json": await read(TOKENIZER, "tokenizer_config.json"),
  };
}

async function inspectGolden() {
  const source = new MapSource("golden", new Map(Object.entries(await modelFiles())));
  return checkModel(source);
}

/** The golden model's weights in two files; null takes the single file away. */
async function sharded(format: "safetensors" | "bin") {
  const source = new MapSource("golden", new Map(Object.entries(await modelFiles())));
  const all = [...(await openWeights(source, "model.safetensors", "safetensors")).values()];
  const [stem, index] =
    format === "bin" ? ["pytorch_model", "pytorch_model.bin.index.json"] : ["model", "model.safetensors.index.json"];
  const weight_map: Record<string, string> = {};
  const files: Record<string, Uint8Array | null> = { "model.safetensors": null };
  const half = Math.ceil(all.length / 2);
  for (const [part, some] of [all.slice(0, half), all.slice(half)].entries()) {
    const path = `${stem}-0000${part + 1}-of-00002.${format}`;
    const tensors = await Promise.all(
      some.map(async (tensor) => ({ ...tensor, data: Float32Array.from(await wholeTensor(tensor)) })),
    );
    for (const { name } of some) weight_map[name] = path;
    files[path] =
      format === "safetensors"
        ? writeSafetensors(tensors)
        : torchFile(
            tensors.map(({ name, shape, data }) => {
              return { name, shape, type: "FloatStorage", bytes: new Uint8Array(data.buffer) };
            }),
          );
  }
  files[index] = new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map }));
  const weights = Object.keys(files).filter((path) => files[path] !== null);
  return { files, weights: weights.toSorted() };
}

const servers: HubServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function world(behaviour: Behaviour = {}, changes: Readonly<Record<string, Uint8Array | null>> = {}) {
  const files: Record<string, Uint8Array> = {};
  for (const [path, bytes] of Object.entries({ ...(await modelFiles()), ...changes }))
    if (bytes !== null) files[path] = bytes;
  const server = await serveHub(REPO, files, behaviour);
  servers.push(server);
  const directory = new MemoryDirectory("models");
  const models = new Folder(directory, "models");
  const sources = new Sources(new Folder(new MemoryDirectory("data"), "data"), models, new URL("http://localhost/"));
  const free = async () => directory.disk.free;
  const changed: string[] = [];
  /** A tab with the same storage. */
  const tab = () => new ModelDownloads(models, sources, free, (change) => void changed.push(change));
  const library = new ModelLibrary(models, sources, free);
  const request = { repo: REPO, revision: "main", endpoint: server.endpoint, token: behaviour.token ?? null };
  const names = async () =>
    (await library.list()).filter(({ source }) => source === "imported").map(({ name }) => name);
  /** Begins, waits for the end, and gives the entry or the error. */
  const bring = async (downloads = tab()) => {
    const { id } = await downloads.start(request);
    await downloads.rest(id);
    return (await library.list()).find((entry) => entry.id === id) ?? (await downloads.list())[0]?.error;
  };
  return { server, directory, models, tab, library, request, names, bring, changes: () => changed };
}

describe("a model from a hub", () => {
  it("becomes an entry with its origin and licence, and is one that can be opened", async () => {
    const { tab, library, request, names, bring, changes } = await world({ token: "hf_secret" });
    await bring();
    const entry = (await library.list()).at(-1);
    if (entry === undefined) throw new Error("there is an entry");
    expect(entry).toMatchObject({ name: REPO, source: "imported", reference: `imported:${entry.id}` });
    expect(entry.origin).toEqual({
      endpoint: request.endpoint,
      repo: REPO,
      revision: "main",
      commit: COMMIT,
      license: "cc-by-sa-4.0",
    });
    // The card of the test's repository says nothing: the hub's own word for the licence counts.
    expect(entry.credit).toEqual({
      name: REPO,
      license: "cc-by-sa-4.0",
      holder: "CyberAgent, Inc.",
      url: `${request.endpoint}/${REPO}`,
    });
    expect(entry.files).toContain("nagi_credit.json");
    expect(await names()).toEqual([REPO]);
    expect((await library.inspect(entry.reference)).name).toBe(REPO);
    expect(await tab().list()).toEqual([]);
    expect(changes().length).toBeGreaterThan(0);
    expect(changes().filter((change) => change === "models")).toHaveLength(1);
  });

  it("keeps the token out of what is stored", async () => {
    const { tab, models, request } = await world({ token: "hf_secret" });
    const downloads = tab();
    const { id } = await downloads.start(request);
    await downloads.rest(id);
    const folder = await models.find(id);
    for (const { name } of (await folder?.entries()) ?? [])
      expect(new TextDecoder("latin1").decode(await folder?.read(name))).not.toContain("hf_secret");
  });

  it("stops when asked to, is listed as waiting, and goes on in another session", async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { server, tab, request, names, library, bring } = await world({ gate });
    const first = tab();
    const begun = await first.start(request);
    expect(begun).toMatchObject({ active: true, error: null, origin: { repo: REPO } });
    // All smaller files, and half of the weights.
    const sizes = Object.values(await modelFiles()).map(({ length }) => length);
    const weights = (await modelFiles())["model.safetensors"]?.length ?? 0;
    const half = sizes.filter((size) => size < weights).reduce((sum, size) => sum + size, Math.floor(weights / 2));
    await expect.poll(async () => (await first.list())[0]?.stored ?? 0).toBe(half);
    await expect(first.start(request)).rejects.toMatchObject({ code: "storage.busy" });
    await first.stop(begun.id);
    open();
    const [waiting] = await tab().list();
    expect(waiting).toMatchObject({ id: begun.id, active: false, error: null });
    expect(waiting?.stored).toBeGreaterThan(0);
    expect(await names()).toEqual([]);
    // Another import does not take it for something a closed tab left behind.
    await expect(library.import({ name: "x", files: [] })).rejects.toMatchObject({ code: "model.file_missing" });
    expect(await bring()).toMatchObject({ id: begun.id, name: REPO });
    expect(server.asked.some(({ range }) => range !== null)).toBe(true);
    expect(server.asked.filter(({ path }) => path.startsWith("/api/")).length).toBe(1);
  });

  it("says why a model is not taken, and takes none that does not fit", async () => {
    const bad = await world({}, { "config.json": new TextEncoder().encode('{"model_type":"llama"}') });
    expect(await bad.bring()).toMatchObject({ code: "model.unknown_architecture" });
    expect(await bad.names()).toEqual([]);
    const full = await world();
    full.directory.disk.free = 1000;
    await expect(full.tab().start(full.request)).rejects.toMatchObject({ code: "storage.quota" });
    expect(await full.models.entries()).toEqual([]);
    await expect(full.tab().start({ ...full.request, repo: "no/such" })).rejects.toMatchObject({
      code: "hub.not_found",
    });
  });

  it.each(["safetensors", "bin"] as const)("takes weights in several files with an index: %s", async (format) => {
    const { files, weights } = await sharded(format);
    const { bring, library, server, request } = await world({}, files);
    const entry = await bring();
    expect(entry).toMatchObject({ name: REPO });
    const fetched = server.asked.filter(({ path }) => /\.(safetensors|bin)(\.index\.json)?$/.test(path));
    expect(fetched.map(({ path }) => path.split("/").at(-1)).toSorted()).toEqual(weights);
    const [{ reference = "" } = {}] = (await library.list()).filter(({ name }) => name === request.repo);
    expect((await library.inspect(reference)).parameters).toBe((await inspectGolden()).parameters);
  });

  it("prefers safetensors where there are both formats", async () => {
    const { bring, server } = await world({}, { "pytorch_model.bin": new Uint8Array(1000) });
    expect(await bring()).toMatchObject({ name: REPO });
    expect(server.asked.some(({ path }) => path.endsWith(".bin"))).toBe(false);
  });

  it("can be given up", async () => {
    const { tab, models, request } = await world({ gate: new Promise(() => {}) });
    const downloads = tab();
    const { id } = await downloads.start({ ...request, revision: "refs/pr/1" });
    await downloads.remove(id);
    expect(await downloads.list()).toEqual([]);
    expect(await models.entries()).toEqual([]);
  });
});
