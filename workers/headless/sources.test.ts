import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FolderSource, modelSource, readDataFile } from "./sources";

const folder = mkdtempSync(join(tmpdir(), "nagi-sources-"));
mkdirSync(join(folder, "part"));
writeFileSync(join(folder, "config.json"), "{}");
writeFileSync(join(folder, "part", "bytes.bin"), Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7));

describe("FolderSource", () => {
  const source = new FolderSource(folder, "mine");

  it("lists files below it with forward slashes", async () => {
    expect(await source.list()).toEqual(["config.json", "part/bytes.bin"]);
  });

  it("reads all, a part, and past the end", async () => {
    expect([...(await source.read("part/bytes.bin"))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([...(await source.read("part/bytes.bin", 2, 5))]).toEqual([2, 3, 4]);
    expect([...(await source.read("part/bytes.bin", 6, 50))]).toEqual([6, 7]);
    expect(await source.read("part/bytes.bin", 9)).toHaveLength(0);
    expect(await source.size("part/bytes.bin")).toBe(8);
  });

  it("says which file is missing and what is there", async () => {
    await expect(source.read("model.safetensors")).rejects.toMatchObject({
      code: "model.file_missing",
      details: { file: "model.safetensors", source: "mine", found: "config.json, part/bytes.bin" },
    });
  });
});

describe("references", () => {
  it("finds bundled data and files on disk", async () => {
    const bundled = await readDataFile("bundled:reviews-ja/validation");
    expect(bundled.name).toBe("validation.jsonl");
    expect(bundled.bytes.length).toBeGreaterThan(10_000);
    expect((await readDataFile(join(folder, "config.json"))).bytes).toHaveLength(2);
  });

  it.each(["bundled:reviews-ja/none", "bundled:reviews-ja", "bundled:../package", "bundled:a/../../b", "no/such.csv"])(
    "refuses the data %s",
    async (reference) => {
      await expect(readDataFile(reference)).rejects.toMatchObject({
        code: "data.unreadable",
        details: { file: reference },
      });
    },
  );

  it.each(["bundled:none", "bundled:..", "bundled:a/b", "bundled:", "no-such-folder"])(
    "refuses the model %s",
    (reference) => {
      expect(() => modelSource(reference)).toThrow(/there is no/);
    },
  );
});
