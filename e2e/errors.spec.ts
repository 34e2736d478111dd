/** Bad input in the browser: each is refused with a text that names the place and the way out. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importDataset } from "./journey";
import { type Checkpoint, changed, readCheckpoint, without, writeCheckpoint } from "./safetensors";
import { expect, expectAccessible, open, t, test } from "./studio";

const line = (sentence: string, label: string | number) => JSON.stringify({ sentence, label });
const rows = (count: number) =>
  Array.from({ length: count }, (_, i) => line(`文 ${i}`, i % 2 === 0 ? "positive" : "negative")).join("\n");

const BAD_DATA = [
  { what: "an empty file", name: "empty.jsonl", text: "", code: "data.empty", says: ["empty.jsonl"] },
  {
    what: "text that is not JSON",
    name: "broken.jsonl",
    text: `${rows(3)}\n{"sentence": \n`,
    code: "data.not_json",
    says: ["broken.jsonl", "4"],
  },
  {
    what: "wrong columns",
    name: "columns.csv",
    text: "text,stars\nとても良い,5\n悪い,1\n",
    code: "data.missing_column",
    says: ["columns.csv", "sentence"],
  },
  {
    what: "an unknown label",
    name: "label.tsv",
    text: "sentence\tlabel\nとても良い\tpositive\nまあまあ\tneutral\n",
    code: "data.bad_label",
    says: ["label.tsv", "3", "neutral"],
  },
  {
    what: "one label only",
    name: "single.jsonl",
    text: Array.from({ length: 5 }, (_, i) => line(`良い ${i}`, "positive")).join("\n"),
    code: "data.single_label",
    says: ["single.jsonl", "positive"],
  },
  { what: "another format", name: "table.xml", text: "<rows/>", code: "data.unknown_format", says: ["table.xml"] },
] as const;

test.describe("data", () => {
  for (const { what, name, text, code, says } of BAD_DATA)
    test(`refuses ${what}`, async ({ page }) => {
      await open(page, "/data");
      const dialog = await importDataset(page, { name, text });
      const alert = dialog.getByRole("alert");
      await expect(alert).toContainText(t(`errors.${code}.title`));
      await expect(alert).toContainText(t("errors.way_out"));
      for (const part of says) await expect(alert).toContainText(part);
      await alert.getByText(t("common.details")).click();
      await expect(alert.locator("pre")).toContainText(code);
    });

  test("the refusal is accessible, and a good file goes in after it", async ({ page }) => {
    await open(page, "/data");
    const dialog = await importDataset(page, { name: "empty.jsonl", text: "" });
    await expect(dialog.getByRole("alert")).toBeVisible();
    await expectAccessible(page, "a refused data set");
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await importDataset(page, { name: "good.csv", text: "sentence,label\n良い,1\n悪い,0\nすき,肯定\nきらい,否定\n" });
    await expect(page.getByRole("dialog")).toBeHidden();
    await expect(page.getByRole("button", { name: /^good/ })).toBeVisible();
  });
});

const BASE = new URL("../public/models/nagi-base/", import.meta.url);
const EMBEDDING = "gpt_neox.embed_in.weight";

interface BadModel {
  readonly what: string;
  readonly code: string;
  readonly says: readonly string[];
  /** Contents by file name; null leaves the file out. */
  readonly files: (checkpoint: Checkpoint) => Readonly<Record<string, Buffer | string | null>>;
}

const config = () => JSON.parse(readFileSync(new URL("config.json", BASE), "utf8"));

const BAD_MODELS: readonly BadModel[] = [
  {
    what: "an unknown architecture",
    code: "model.unknown_architecture",
    says: ["llama"],
    files: () => ({
      "config.json": JSON.stringify({ ...config(), model_type: "llama", architectures: ["LlamaForCausalLM"] }),
    }),
  },
  {
    what: "a folder without config.json",
    code: "model.file_missing",
    says: ["config.json"],
    files: () => ({ "config.json": null }),
  },
  {
    what: "an offset past the end of the file",
    code: "model.bad_safetensors",
    says: ["model.safetensors"],
    files: (checkpoint) => ({
      "model.safetensors": writeCheckpoint(
        changed(checkpoint, EMBEDDING, (tensor) => ({
          ...tensor,
          data_offsets: [tensor.data_offsets[0], 1_000_000_000],
        })),
      ),
    }),
  },
  {
    what: "overlapping tensors",
    code: "model.bad_safetensors",
    says: ["model.safetensors"],
    files: (checkpoint) => ({
      "model.safetensors": writeCheckpoint(
        changed(checkpoint, EMBEDDING, (tensor) => {
          const length = tensor.data_offsets[1] - tensor.data_offsets[0];
          const start = tensor.data_offsets[0] === 0 ? 4 : 0;
          return { ...tensor, data_offsets: [start, start + length] };
        }),
      ),
    }),
  },
  {
    what: "a header of impossible length",
    code: "model.bad_safetensors",
    says: ["model.safetensors"],
    files: (checkpoint) => ({ "model.safetensors": writeCheckpoint(checkpoint, 2n ** 60n) }),
  },
  {
    what: "a missing tensor",
    code: "model.tensor_missing",
    says: [EMBEDDING],
    files: (checkpoint) => ({ "model.safetensors": writeCheckpoint(without(checkpoint, EMBEDDING)) }),
  },
  {
    what: "a tensor of the wrong shape",
    code: "model.tensor_shape",
    says: [EMBEDDING],
    files: (checkpoint) => ({
      "model.safetensors": writeCheckpoint(
        changed(checkpoint, EMBEDDING, (tensor) => ({ ...tensor, shape: [...tensor.shape].reverse() })),
      ),
    }),
  },
];

test.describe("models", () => {
  let folder = "";
  test.beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "nagi-model-"));
  });
  test.afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const { what, code, says, files } of BAD_MODELS)
    test(`refuses ${what}`, async ({ page }) => {
      const read = (name: string) => readFileSync(new URL(name, BASE));
      const checkpoint = readCheckpoint(read("model.safetensors"));
      const model = join(folder, "model");
      mkdirSync(model);
      const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
      const replaced = files(checkpoint);
      for (const name of names) {
        const content = name in replaced ? replaced[name] : read(name);
        if (content) writeFileSync(join(model, name), content);
      }
      await open(page, "/models");
      await page.locator("input[webkitdirectory]").setInputFiles(model);
      const alert = page.getByRole("alert");
      await expect(alert).toContainText(t(`errors.${code}.title`));
      await expect(alert).toContainText(t("errors.way_out"));
      await alert.getByText(t("common.details")).click();
      await expect(alert.locator("pre")).toContainText(code);
      for (const part of says) await expect(alert).toContainText(part);
    });

  test("says so when the browser's storage is full", async ({ page, baseURL }) => {
    await open(page, "/models");
    const session = await page.context().newCDPSession(page);
    const origin = new URL(baseURL ?? "").origin;
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
    const model = join(folder, "model");
    mkdirSync(model);
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
      writeFileSync(join(model, name), readFileSync(new URL(name, BASE)));
    await page.locator("input[webkitdirectory]").setInputFiles(model);
    const alert = page.getByRole("alert");
    await expect(alert).toContainText(t("errors.storage.quota.title"));
    await expect(alert).toContainText(t("errors.way_out"));
  });
});
