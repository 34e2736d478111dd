import { readdir, stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { BUNDLED_DATASETS, BUNDLED_MODELS } from "./bundled";

const PUBLIC = new URL("../../public/", import.meta.url);

/** Bytes of the named files of a public folder; rejects where one is missing. */
async function bytesOf(folder: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(new URL(`${folder}/${file}`, PUBLIC))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe("what ships under public/", () => {
  it.each(BUNDLED_DATASETS.map((entry) => [entry.id, entry] as const))(
    "data set %s is as listed",
    async (id, entry) => {
      expect(await bytesOf(`datasets/${id}`, entry.files)).toBe(entry.bytes);
      const splits = Object.values(entry.data).filter((reference) => reference !== null);
      expect(splits.map((reference) => `${reference.slice(`bundled:${id}/`.length)}.jsonl`)).toEqual(entry.files);
    },
  );

  it.each(BUNDLED_MODELS.map((entry) => [entry.id, entry] as const))("model %s is as listed", async (id, entry) => {
    expect(entry.reference).toBe(`bundled:${id}`);
    expect(await bytesOf(`models/${id}`, entry.files)).toBe(entry.bytes);
  });

  it("is listed completely", async () => {
    expect((await readdir(new URL("datasets/", PUBLIC))).sort()).toEqual(BUNDLED_DATASETS.map(({ id }) => id).sort());
    expect((await readdir(new URL("models/", PUBLIC))).sort()).toEqual(BUNDLED_MODELS.map(({ id }) => id).sort());
  });
});
