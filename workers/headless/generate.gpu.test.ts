/** The bundled base writes: from files to text. What it writes is right is shown beside the generator. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openDawn } from "../engine/gpu/dawn";
import type { Gpu } from "../engine/gpu/gpu";
import { type GenerateInput, generate } from "./generate";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

const input: GenerateInput = {
  model: "bundled:nagi-base",
  adapter: null,
  prompts: ["この商品は", "とても"],
  generation: { max_new_tokens: 6, temperature: 0, top_k: 0, top_p: 1 },
  seed: 1,
};

it("continues several prompts as it continues each alone", async () => {
  const lines = await generate(gpu, input);
  expect(lines.map(({ prompt }) => prompt)).toEqual(input.prompts);
  for (const [index, line] of lines.entries()) {
    expect(line.text.length).toBeGreaterThan(0);
    expect(line.finished || line.tokens === 6).toBe(true);
    expect(await generate(gpu, { ...input, prompts: input.prompts.slice(index, index + 1) })).toEqual([line]);
  }
});

it("says what is not there", async () => {
  await expect(generate(gpu, { ...input, model: "no-such-folder" })).rejects.toMatchObject({
    code: "model.file_missing",
  });
  const adapter = fileURLToPath(new URL("../../public/models/nagi-base", import.meta.url));
  await expect(generate(gpu, { ...input, adapter })).rejects.toMatchObject({ code: "model.file_missing" });
  await expect(generate(gpu, { ...input, prompts: [""] })).rejects.toMatchObject({ code: "data.empty" });
});
