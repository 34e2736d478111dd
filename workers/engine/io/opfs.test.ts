import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { NagiError } from "../../../src/shared/errors";
import { MemoryDirectory } from "./memory-directory";
import { Folder, openRoot, type SyncHandle } from "./opfs";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const schema = z.strictObject({ n: z.number() });

function disk(free: number | null = null) {
  const directory = new MemoryDirectory("root", { free });
  return { directory, folder: new Folder(directory, "root") };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  return error instanceof NagiError ? error.code : `no NagiError: ${String(error)}`;
}

describe("Folder", () => {
  it("writes whole files from pieces and reads parts of them", async () => {
    const { folder } = disk();
    expect(await folder.write("a", [bytesOf("hello "), bytesOf("world")])).toBe(11);
    expect(new TextDecoder().decode(await folder.read("a", 6, 9))).toBe("wor");
    await folder.write("a", [bytesOf("x")]);
    expect((await folder.file("a"))?.size).toBe(1);
    expect(await folder.file("b")).toBeNull();
    expect(await codeOf(folder.read("b"))).toBe("storage.corrupt");
    expect(await folder.find("b")).toBeNull();
    await (await folder.folder("sub")).write("c", [bytesOf("1234")]);
    expect(await folder.bytes()).toBe(5);
    expect(await folder.entries()).toEqual([
      { name: "a", kind: "file" },
      { name: "sub", kind: "directory" },
    ]);
    await folder.remove("sub");
    await folder.remove("sub");
    expect(await folder.bytes()).toBe(1);
  });

  it("leaves nothing behind when the disk is full", async () => {
    const { folder } = disk(10);
    const error = await folder.write("a", [new Uint8Array(8), new Uint8Array(8)]).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NagiError);
    expect((error as NagiError).code).toBe("storage.quota");
    expect(await folder.entries()).toEqual([]);
  });

  it("keeps a reader from ever seeing half a JSON file", async () => {
    const { folder, directory } = disk();
    expect(await folder.readJson("r.json", schema)).toBeNull();
    await folder.writeJson("r.json", { n: 1 });
    expect(await folder.readJson("r.json", schema)).toEqual({ n: 1 });
    expect((await folder.entries()).map((entry) => entry.name)).toEqual(["r.json"]);
    // Killed while the new value was written beside the old one.
    directory.file("r.json.new", true).bytes = bytesOf('{"n":');
    expect(await folder.readJson("r.json", schema)).toEqual({ n: 1 });
    // Killed while the old value was replaced.
    directory.file("r.json").bytes = bytesOf('{"n"');
    directory.file("r.json.new").bytes = bytesOf('{"n":2}');
    expect(await folder.readJson("r.json", schema)).toEqual({ n: 2 });
    // Something that is JSON, but not what was stored.
    directory.file("r.json").bytes = bytesOf('{"m":1}');
    directory.file("r.json.new").bytes = bytesOf("null");
    expect(await folder.readJson("r.json", schema)).toBeNull();
  });

  it("refuses a second writer and lets it in after close", async () => {
    const { folder } = disk();
    const first = await folder.append("log");
    expect(await codeOf(folder.append("log"))).toBe("storage.busy");
    first.close();
    (await folder.append("log")).close();
  });

  it("asks again where the browser never answers, and gives back what comes late", async () => {
    vi.useFakeTimers();
    const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    try {
      const { folder, directory } = disk();
      const file = directory.file("run.json", true);
      let answer: (handle: SyncHandle) => void = () => undefined;
      const late = new Promise<SyncHandle>((resolve) => {
        answer = resolve;
      });
      vi.spyOn(file, "createSyncAccessHandle").mockReturnValueOnce(late);
      const writing = folder.write("run.json", [bytesOf("all of it")]);
      await vi.runAllTimersAsync();
      expect(await writing).toBe(9);
      expect(warned).toHaveBeenCalledOnce();
      answer(await file.createSyncAccessHandle());
      await vi.runAllTimersAsync();
      expect(file.open).toBe(false);
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });

  it("takes a half-written line back when the disk fills up", async () => {
    const { folder, directory } = disk(10);
    const file = await folder.append("log");
    file.append(bytesOf("1234567"));
    expect(() => file.append(bytesOf("89abcdef"))).toThrow(NagiError);
    expect(file.size).toBe(7);
    directory.disk.free = 100;
    file.append(bytesOf("89abcdef"));
    expect(new TextDecoder().decode(file.readAll())).toBe("123456789abcdef");
    file.close();
  });
});

describe("openRoot", () => {
  it("names a browser without private files", async () => {
    expect(await codeOf(openRoot(undefined))).toBe("storage.unavailable");
  });
});
