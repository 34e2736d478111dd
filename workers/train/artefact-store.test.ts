import { beforeEach, describe, expect, it } from "vitest";
import { type ArtefactManifest, artefactId } from "../../src/shared/protocol/artefact";
import { DEFAULT_SFT_STAGE } from "../../src/shared/protocol/defaults";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { ArtefactStore } from "./artefact-store";
import { codeOf, MemoryLocks } from "./scripted";

let directory: MemoryDirectory;
let free: number | null;
let store: ArtefactStore;
let changes: number;

beforeEach(() => {
  directory = new MemoryDirectory("artefacts");
  free = null;
  changes = 0;
  store = new ArtefactStore(
    new Folder(directory, "artefacts"),
    new MemoryLocks(),
    async () => free,
    () => void changes++,
  );
});

const FACTS: Omit<ArtefactManifest, "files"> = {
  kind: "adapter",
  name: "tutorial/sft",
  created: 1,
  parents: [{ slot: "model", id: "bundled:nagi-base" }],
  run_id: "run",
  stage: DEFAULT_SFT_STAGE,
  seed: 3,
};
const bytes = (text: string) => new TextEncoder().encode(text);
const FILES = new Map([
  ["adapter_config.json", bytes("{}")],
  ["deep/er/weights.bin", new Uint8Array(1000).fill(7)],
]);
const empty = async () => (await new Folder(directory, "artefacts").entries()).length === 0;

describe("ArtefactStore", () => {
  it("gives back what it was given, by the hash of its manifest", async () => {
    const record = await store.save(FILES, FACTS);
    const { id, ...manifest } = record;
    expect(id).toBe(await artefactId(manifest));
    expect(record.files.map(({ path, bytes: size }) => [path, size])).toEqual([
      ["adapter_config.json", 2],
      ["deep/er/weights.bin", 1000],
    ]);
    const { files } = await store.open(id);
    expect(await files.list()).toEqual([...FILES.keys()]);
    expect(await files.read("deep/er/weights.bin", 998)).toEqual(new Uint8Array([7, 7]));
    expect(await store.list()).toEqual([record]);
    const [size] = await store.sizes();
    expect(size?.id).toBe(id);
    expect(size?.bytes).toBeGreaterThan(1002);
  });

  it("stores the same result once, and another one beside it", async () => {
    const first = await store.save(FILES, FACTS);
    expect((await store.save(FILES, FACTS)).id).toBe(first.id);
    const other = await store.save(new Map([...FILES, ["deep/er/weights.bin", bytes("other")]]), FACTS);
    expect(other.id).not.toBe(first.id);
    expect((await store.list()).length).toBe(2);
    expect(changes).toBe(2);
  });

  it("notices files that are no longer what was stored", async () => {
    const { id } = await store.save(FILES, FACTS);
    const file = (await (await directory.getDirectoryHandle(id)).getDirectoryHandle("files")).file(
      "adapter_config.json",
    );
    file.bytes = bytes("[]");
    expect(await codeOf(store.open(id))).toBe("storage.corrupt");
    file.bytes = bytes("{} ");
    expect(await codeOf(store.files(id))).toBe("storage.corrupt");
    file.bytes = bytes("{}");
    expect((await store.files(id)).size).toBe(2);
  });

  it("asks for room before it writes, and leaves nothing behind where the disk is full", async () => {
    const kept = await store.save(FILES, FACTS);
    const larger = new Map([["a", new Uint8Array(100_000)]]);
    free = 100_000;
    const refused = await store.save(larger, FACTS).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "storage.quota", details: { available: 100_000 } });
    free = null;
    directory.disk.free = 50_000;
    expect(await codeOf(store.save(larger, FACTS))).toBe("storage.quota");
    expect(directory.disk.free).toBe(50_000);
    expect(await store.list()).toEqual([kept]);
    expect((await store.sizes()).length).toBe(1);
  });

  it("lists no half of one, and clears it away with the next save", async () => {
    const half = await directory.getDirectoryHandle("f".repeat(64), { create: true });
    await half.getDirectoryHandle("files", { create: true });
    expect(await store.list()).toEqual([]);
    await store.save(FILES, FACTS);
    expect((await store.sizes()).length).toBe(1);
  });

  it("keeps one whose record it cannot read", async () => {
    const { id } = await store.save(FILES, FACTS);
    const entry = (await directory.getDirectoryHandle(id)).file("entry.json");
    entry.bytes = bytes('{"from":"the future"}');
    expect(await codeOf(store.record(id))).toBe("artefact.not_found");
    await store.save(new Map([["a", bytes("b")]]), FACTS);
    expect((await store.sizes()).map((size) => size.id)).toContain(id);
  });

  it("removes all of it", async () => {
    const { id } = await store.save(FILES, FACTS);
    await store.remove(id);
    expect(await store.find(id)).toBeNull();
    expect(await empty()).toBe(true);
    await store.remove(id);
  });
});
