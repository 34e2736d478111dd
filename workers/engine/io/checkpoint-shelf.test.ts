import { describe, expect, it } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { CheckpointShelf } from "./checkpoint-shelf";
import { MemoryDirectory } from "./memory-directory";
import { Folder } from "./opfs";

const bytesOf = (step: number, size = 100): Uint8Array => new Uint8Array(size).fill(step);

function shelf(free: number | null = null) {
  const directory = new MemoryDirectory("r", { free });
  const folder = new Folder(directory, "r");
  return { directory, folder, shelf: new CheckpointShelf(folder, async () => directory.disk.free) };
}

const files = async (folder: Folder): Promise<string[]> =>
  (await folder.entries()).map((entry) => entry.name).filter((name) => name.endsWith(".safetensors"));

describe("CheckpointShelf", () => {
  it("keeps the newest two", async () => {
    const { shelf: kept, folder } = shelf();
    expect(await kept.loadCheckpoint()).toBeNull();
    for (const step of [5, 10, 15]) await kept.saveCheckpoint(step, bytesOf(step));
    expect(await files(folder)).toEqual(["checkpoint-10.safetensors", "checkpoint-15.safetensors"]);
    expect(await kept.newest()).toEqual({ step: 15, bytes: bytesOf(15) });
  });

  it("falls back to the one before when the newest is damaged, and says so when both are", async () => {
    const { shelf: kept, directory } = shelf();
    await kept.saveCheckpoint(5, bytesOf(5));
    await kept.saveCheckpoint(10, bytesOf(10));
    directory.file("checkpoint-10.safetensors").bytes[50] = 77;
    expect((await kept.newest())?.step).toBe(5);
    directory.file("checkpoint-5.safetensors").bytes = new Uint8Array(99).fill(5);
    const error = await kept.newest().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NagiError);
    expect((error as NagiError).code).toBe("storage.corrupt");
    // The run can still be trained from the start: saving works and forgets the damaged ones.
    await kept.saveCheckpoint(2, bytesOf(2));
    expect((await kept.newest())?.step).toBe(2);
  });

  it("does not count a save that was cut short, and sweeps it away with the next", async () => {
    const { shelf: kept, folder, directory } = shelf();
    await kept.saveCheckpoint(5, bytesOf(5));
    directory.file("checkpoint-10.safetensors", true).bytes = new Uint8Array(40);
    expect((await kept.newest())?.step).toBe(5);
    await kept.saveCheckpoint(15, bytesOf(15));
    expect(await files(folder)).toEqual(["checkpoint-15.safetensors", "checkpoint-5.safetensors"]);
  });

  it("keeps the old checkpoint readable while the same step is saved anew", async () => {
    const { shelf: kept, folder } = shelf();
    await kept.saveCheckpoint(5, bytesOf(5));
    await kept.saveCheckpoint(5, bytesOf(5));
    expect(await files(folder)).toEqual(["checkpoint-5.safetensors"]);
    await kept.saveCheckpoint(5, bytesOf(6));
    expect(await kept.newest()).toEqual({ step: 5, bytes: bytesOf(6) });
    expect((await files(folder)).length).toBe(1);
    await kept.saveCheckpoint(5, bytesOf(7));
    expect(await kept.newest()).toEqual({ step: 5, bytes: bytesOf(7) });
    expect((await files(folder)).length).toBe(1);
  });

  it("refuses before it writes when there is too little room, and keeps what it has", async () => {
    const { shelf: kept, directory } = shelf(1000);
    await kept.saveCheckpoint(5, bytesOf(5));
    const left = directory.disk.free;
    const error = await kept.saveCheckpoint(10, bytesOf(10, 5000)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NagiError);
    expect((error as NagiError).toData()).toMatchObject({
      code: "storage.quota",
      details: { needed: 5000, available: left },
    });
    expect((await kept.newest())?.step).toBe(5);
  });

  it("survives a disk that is fuller than the browser's estimate", async () => {
    const directory = new MemoryDirectory("r", { free: 1000 });
    const kept = new CheckpointShelf(new Folder(directory, "r"), async () => null);
    await kept.saveCheckpoint(5, bytesOf(5));
    const error = await kept.saveCheckpoint(10, bytesOf(10, 5000)).catch((caught: unknown) => caught);
    expect((error as NagiError).toData()).toMatchObject({
      code: "storage.quota",
      details: { needed: 5000, available: null },
    });
    expect((await kept.newest())?.step).toBe(5);
  });

  it("gives room back", async () => {
    const { shelf: kept, folder } = shelf();
    await kept.saveCheckpoint(5, bytesOf(5));
    await kept.saveCheckpoint(10, bytesOf(10));
    await kept.keepNewest();
    expect(await files(folder)).toEqual(["checkpoint-10.safetensors"]);
    expect((await kept.newest())?.step).toBe(10);
  });
});
