/**
 * One pipeline on two machines: SFT, merge and PPO by a real nagi-worker (PyTorch on this machine's CPU), the reward model
 * in the tab. Started, followed and taken home in the studio's own screens.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { chart, expectState, expectStep, importDataset, smallDataset } from "./journey";
import { expect, expectAccessible, fill, open, pattern, t, test } from "./studio";
import { writeTinyModel } from "./tiny-model";
import { WorkerProcess } from "./worker-process";

const STEPS = 6;
const TRAINING = { max_length: 24, per_device_train_batch_size: 2, logging_steps: 1, eval_steps: 3, save_steps: 3 };
const LORA = { r: 2, lora_alpha: 4, lora_dropout: 0, target_modules: ["query_key_value"] };
/** What is left out is filled with the defaults. */
const CONFIG = {
  name: "two-machines",
  seed: 3,
  stages: [
    { stage: "sft", id: "sft", ...TRAINING, max_steps: STEPS, packing: false, sample_texts: 1, peft: LORA },
    { stage: "merge", id: "merge", adapter: "sft" },
    { stage: "reward", id: "reward", ...TRAINING, max_steps: STEPS, peft: LORA },
    {
      stage: "ppo",
      id: "ppo",
      model: "merge",
      reward_model: "reward",
      peft: LORA,
      prompt: { unit: "characters", length: 4 },
      total_episodes: 8,
      rollout_batch_size: 4,
      num_ppo_epochs: 1,
      num_mini_batches: 1,
      response_length: 8,
      logging_steps: 1,
      eval_steps: 2,
      save_steps: 1,
      sample_texts: 1,
    },
  ],
};
const REMOTE = ["sft", "merge", "ppo"] as const;
/** A stage of the worker begins with importing PyTorch, twice as slow beside a browser that trains. */
const PATIENCE = 600_000;

let worker: WorkerProcess;
test.beforeAll(async () => {
  test.setTimeout(PATIENCE);
  worker = await WorkerProcess.start();
});
test.afterAll(async () => worker.stop());

async function addWorker(page: Page): Promise<void> {
  await open(page, "/workers");
  await expectAccessible(page, "no workers");
  await fill(page.getByRole("textbox", { name: t("workers.url"), exact: true }), worker.url);
  const token = page.getByLabel(t("workers.token"), { exact: true });
  const submit = page.getByRole("button", { name: t("workers.connect"), exact: true });
  await fill(token, "not-the-token");
  await submit.click();
  await expect(page.getByText(t("errors.worker.token.title"))).toBeVisible();
  await fill(token, worker.token);
  await submit.click();
  await expect(page.getByText(t("workers.state.connected"))).toBeVisible();
  await expect(page.getByText(/PyTorch 2/)).toBeVisible();
  await expect(page.getByText(t("workers.queue_empty"))).toBeVisible();
  await expectAccessible(page, "a connected worker");
  expect(await page.content()).not.toContain(worker.token);
}

async function importInputs(page: Page): Promise<void> {
  await open(page, "/data");
  await importDataset(page, smallDataset(40));
  await expect(page.getByRole("dialog")).toBeHidden();
  await open(page, "/reward/new");
  const folder = mkdtempSync(join(tmpdir(), "nagi-tiny-"));
  try {
    writeTinyModel(join(folder, "tiny"));
    const form = page.getByRole("form", { name: t("reward.form") });
    await form.locator("input[webkitdirectory]").setInputFiles(join(folder, "tiny"));
    await expect(page.getByRole("combobox", { name: t("reward.model_label"), exact: true })).toHaveValue(/^tiny/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function choose(page: Page, label: string, option: RegExp): Promise<void> {
  // A stage's own model is called as the pipeline's is, which stands first.
  await page.getByRole("combobox", { name: label, exact: true }).first().click();
  await page.getByRole("option", { name: option }).click();
}

const node = (page: Page, id: string) => page.getByRole("button", { name: new RegExp(`\\(${id}\\)`) });

/** Makes the pipeline with its places and starts it. Returns its id. */
async function startPipeline(page: Page): Promise<string> {
  await open(page, "/pipelines/new");
  await page
    .locator('input[type="file"][accept*="json"]')
    .setInputFiles({ name: "two.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(CONFIG)) });
  await expect(page.getByText(t("reward.config_imported"))).toBeVisible();
  await choose(page, t("reward.model_label"), /^tiny/);
  await choose(page, t("reward.dataset_label"), /^small/);
  for (const id of REMOTE) {
    await node(page, id).click();
    await choose(page, t("workers.place"), /^(?!このブラウザ$)/);
    await expect(page.getByRole("combobox", { name: t("workers.launcher"), exact: true })).toBeVisible();
  }
  await page.getByRole("button", { name: t("workers.preflight"), exact: true }).click();
  await expect(page.locator(".ng-notice").filter({ hasText: pattern("workers.fits") })).toBeVisible();
  await expectAccessible(page, "a stage placed on a worker");
  await page.getByRole("button", { name: t("pipeline.run_all"), exact: true }).click();
  await page.waitForURL(/#\/pipelines\/\d/);
  return page.url().replace(/^.*#\/pipelines\/|\?.*$/g, "");
}

/** The log of a run as it lies in the browser's storage. */
function storedLog(page: Page, runId: string): Promise<{ seq: number; type: string; step?: number }[]> {
  return page.evaluate(async (id) => {
    const root = await navigator.storage.getDirectory();
    const runs = await root.getDirectoryHandle("runs");
    const file = await (await runs.getDirectoryHandle(id)).getFileHandle("metrics.jsonl");
    const text = await (await file.getFile()).text();
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }, runId);
}

async function expectWholeCurve(page: Page, runId: string, steps: number): Promise<void> {
  const events = await storedLog(page, runId);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index));
  const logged = events.flatMap(({ type, step }) => (type === "log" ? [step] : []));
  expect(logged).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
}

/** Opens the run of a stage from the pipeline's screen. Returns its id. */
async function openRun(page: Page, pipelineId: string, stage: string): Promise<string> {
  await open(page, `/pipelines/${pipelineId}?stage=${stage}`);
  await page.getByRole("link", { name: t("pipeline.open_run"), exact: true }).click({ timeout: PATIENCE });
  await page.waitForURL(/#\/runs\/[^/?]+$/);
  // The address changes before the screen does, and the pipeline's screen has states too.
  await expect(page.getByRole("tab", { name: t("run.tab_record"), exact: true })).toBeVisible();
  return page.url().replace(/^.*#\/runs\//, "");
}

test("SFT, merge and PPO on a worker, the reward model in the tab: one pipeline, one studio", async ({
  page,
  context,
}) => {
  await addWorker(page);
  await importInputs(page);
  const pipelineId = await startPipeline(page);

  // The tab is closed as soon as the worker has the stage; it goes on there.
  const sft = await openRun(page, pipelineId, "sft");
  await expectStep(page, 1, PATIENCE);
  await page.close();
  const next = await context.newPage();
  await open(next, `/runs/${sft}`);
  await expectState(next, "finished", PATIENCE);
  await expect(chart(next, "loss")).toHaveAttribute("aria-label", /\d/);
  await expectWholeCurve(next, sft, STEPS);

  // The pipeline goes on by itself: merge on the worker, the reward model in this tab, PPO on the worker.
  const reward = await openRun(next, pipelineId, "reward");
  await expectState(next, "finished", PATIENCE);
  await expectWholeCurve(next, reward, STEPS);
  const ppo = await openRun(next, pipelineId, "ppo");
  await expectState(next, "finished", PATIENCE);
  await expectWholeCurve(next, ppo, 2);
  await next.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  await expect(next.getByText(pattern("workers.run_there"))).toBeVisible();
  await next.getByRole("button", { name: t("workers.log_show"), exact: true }).click();
  await expect(next.getByRole("region", { name: t("workers.log"), exact: true }).last()).toBeVisible();

  await open(next, `/pipelines/${pipelineId}?stage=ppo`);
  await expectState(next, "finished");
  await expectAccessible(next, "a pipeline on two machines");

  // What PPO has trained on the worker goes to this computer's disk.
  await next
    .getByRole("link", { name: new RegExp(`^${t("artefact_kinds.adapter")}`) })
    .first()
    .click();
  const downloading = next.waitForEvent("download");
  await next.getByRole("button", { name: t("artefact.download"), exact: true }).click();
  const bytes = readFileSync(await (await downloading).path());
  expect(bytes.includes("adapter_model.safetensors")).toBe(true);
  expect(bytes.includes("adapter_config.json")).toBe(true);

  // Forgotten, with its token.
  await open(next, "/workers");
  await next.getByRole("button", { name: new RegExp(t("workers.remove")) }).click();
  await next
    .getByRole("dialog")
    .getByRole("button", { name: t("workers.remove"), exact: true })
    .click();
  await expect(next.getByText(t("workers.none_title"))).toBeVisible();
});
