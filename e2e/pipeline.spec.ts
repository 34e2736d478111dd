/**
 * The tutorial by clicking, on a tiny model: from a template to texts side by side, with a reload in the middle of PPO;
 * then votes on those texts, and what learns from the votes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { expectState, importDataset, PATIENCE, smallDataset } from "./journey";
import { closeTheLoop, rateAll } from "./loop";
import { expect, expectAccessible, open, pattern, t, test } from "./studio";
import { writeTinyModel } from "./tiny-model";

const STAGES = ["sft", "reward", "judge", "merge", "ppo", "evaluate"];

const lora = { r: 2, lora_alpha: 4, lora_dropout: 0, target_modules: ["query_key_value"] };
const training = { max_steps: 4, per_device_train_batch_size: 2, max_length: 24, eval_steps: 4, save_steps: 2 };
/** A few steps of every stage; enough updates of PPO to reload between two of them. */
const TINY: Readonly<Record<string, object>> = {
  sft: { ...training, peft: lora, sample_texts: 1 },
  reward: training,
  judge: training,
  ppo: {
    peft: lora,
    total_episodes: 48,
    rollout_batch_size: 2,
    num_ppo_epochs: 1,
    num_mini_batches: 1,
    response_length: 6,
    // So large that it writes other texts afterwards: equal ones cannot be rated.
    learning_rate: 0.03,
    eval_steps: 24,
    save_steps: 1,
    sample_texts: 2,
  },
  evaluate: {
    split: "validation",
    num_prompts: 8,
    generation: { max_new_tokens: 6, temperature: 1, top_k: 0, top_p: 1 },
  },
};

interface ConfigFile {
  readonly stages: readonly { readonly id: string }[];
}

/** The download that a click starts. */
async function downloaded(page: Page, button: Locator): Promise<{ name: string; path: string }> {
  const waiting = page.waitForEvent("download");
  await button.click();
  const download = await waiting;
  return { name: download.suggestedFilename(), path: await download.path() };
}

async function importTinyModel(page: Page): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "nagi-tiny-"));
  try {
    writeTinyModel(join(folder, "tiny"));
    await open(page, "/models");
    await page.locator("input[webkitdirectory]").setInputFiles(join(folder, "tiny"));
    await expect(page.getByRole("heading", { name: "tiny", exact: true })).toBeVisible();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Among the settings of the whole pipeline, which come first. */
async function choose(page: Page, label: string, option: RegExp): Promise<void> {
  await page.getByRole("combobox", { name: label, exact: true }).first().click();
  await page.getByRole("option", { name: option }).click();
}

/** The stage in the graph. */
const node = (page: Page, stage: string): Locator =>
  page
    .getByRole("list", { name: t("pipeline.graph") })
    .getByRole("button")
    .filter({ hasText: `${stage} → ` });

const finished = (page: Page, stage: string, timeout: number) =>
  expect(node(page, stage)).toContainText(t("state.finished"), { timeout });

/** Chooses a stage in the graph; its panel stands beside it. */
async function select(page: Page, stage: string): Promise<void> {
  await node(page, stage).click();
  await expect(page.getByRole("heading", { name: `(${stage})` })).toBeVisible();
}

/** What the panel says came out of the chosen stage: kind and the beginning of its hash. */
const output = (page: Page): Locator => page.locator('a[href*="#/artefacts/"]', { hasText: / [0-9a-f]{8}$/ });

test("the tutorial by clicking, with a reload in the middle of PPO", async ({ page }) => {
  await open(page, "/data");
  await importDataset(page, smallDataset(80));
  await expect(page.getByRole("dialog")).toBeHidden();
  await importTinyModel(page);

  // From the template; its settings become small by way of the file that the command line takes too.
  await open(page, "/pipelines");
  await page
    .getByRole("link")
    .filter({ hasText: t("templates.positive-reviews.title") })
    .click();
  await choose(page, t("reward.model_label"), /^tiny/);
  await choose(page, t("reward.dataset_label"), /^small/);
  const file = await downloaded(page, page.getByRole("button", { name: t("reward.config_export"), exact: true }));
  const config: ConfigFile = JSON.parse(readFileSync(file.path, "utf8"));
  expect(config.stages.map(({ id }) => id)).toEqual(STAGES);
  const small = { ...config, stages: config.stages.map((stage) => ({ ...stage, ...TINY[stage.id] })) };
  await page.locator('input[type="file"][accept*="json"]').setInputFiles({
    name: file.name,
    mimeType: "application/json",
    buffer: Buffer.from(JSON.stringify(small)),
  });
  await expect(page.getByText(t("reward.config_imported"))).toBeVisible();
  await page.getByRole("button", { name: t("pipeline.run_all"), exact: true }).click();
  await page.waitForURL(/#\/pipelines\/[^/?]+$/);

  // PPO stands on what the four stages before it made.
  for (const stage of STAGES.slice(0, 4)) await finished(page, stage, PATIENCE);
  await select(page, "merge");
  const merged = await output(page).getAttribute("href");
  await select(page, "ppo");
  const step = async (): Promise<number> => {
    const text = await page.getByText(pattern("run.step_of")).first().textContent();
    return Number(/\d+/.exec(text ?? "")?.[0] ?? -1);
  };
  await expect.poll(step, { timeout: PATIENCE, intervals: [100] }).toBeGreaterThanOrEqual(3);
  await page.reload();

  await expectState(page, "paused");
  await expect(page.getByText(t("pipeline.interrupted"))).toBeVisible();
  for (const stage of STAGES.slice(0, 4)) await finished(page, stage, 1000);
  await expectAccessible(page, "a pipeline that was interrupted");
  await page.getByRole("button", { name: t("pipeline.run_rest"), exact: true }).click();
  await finished(page, "evaluate", PATIENCE);
  await expectState(page, "finished");

  // It went on from a checkpoint: nothing before it was made again, and the run says where it was taken up.
  await select(page, "merge");
  expect(await output(page).getAttribute("href")).toBe(merged);
  await select(page, "ppo");
  await page.getByRole("link", { name: t("pipeline.open_run"), exact: true }).click();
  await page.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  const log = await downloaded(page, page.getByRole("button", { name: t("record.download_metrics"), exact: true }));
  const events: { type: string; step?: number; metrics?: Record<string, number | null> }[] = readFileSync(
    log.path,
    "utf8",
  )
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const resumed = events.filter(({ type }) => type === "resumed");
  expect(resumed.length).toBe(1);
  expect(resumed[0]?.step).toBeGreaterThanOrEqual(1);
  expect(events.findLast(({ type }) => type === "log")?.step).toBe(24);
  expect(events.find(({ type }) => type === "log")?.metrics).toHaveProperty("objective/kl");

  // People may rate what it wrote before and after.
  await page.getByRole("tab", { name: t("run.tab_texts"), exact: true }).click();
  await page.getByRole("link", { name: t("texts.rate"), exact: true }).click();
  for (const step of [0, 24]) await expect(page.getByText(`ppo @ ${step}`)).toBeVisible();
  await expectAccessible(page, "a rating of a run's checkpoints");
  await page.goBack();

  // Texts side by side, and from them back to where they came from.
  await page.goBack();
  await select(page, "evaluate");
  await output(page).click();
  const summary = page.getByRole("table", { name: t("results.summary") });
  await expect(summary.getByRole("rowheader", { name: /^merge/ })).toBeVisible();
  await expect(summary.getByRole("rowheader", { name: /^ppo/ })).toBeVisible();
  await expect(summary).toContainText(/\d/);
  for (const origin of [/tiny/, /small/]) await expect(page.getByText(origin).first()).toBeVisible();
  await expectAccessible(page, "texts side by side");

  // People vote, and the votes teach.
  await closeTheLoop(page, await rateAll(page));
});
