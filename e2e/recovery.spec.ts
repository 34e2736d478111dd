/** What happens to a run when the tab dies, the GPU goes away or the storage is full; and that resuming changes nothing. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import {
  chart,
  expectState,
  expectStep,
  fillRewardForm,
  importDataset,
  shownStep,
  smallDataset,
  startRun,
} from "./journey";
import { expect, open, pattern, t, test } from "./studio";
import { writeTinyModel } from "./tiny-model";

const TINY = {
  per_device_train_batch_size: 2,
  max_length: 24,
  eval_steps: 20,
  save_steps: 4,
  logging_steps: 1,
};

/** Steps of a run that no interruption comes too late for. */
const LONG = 40;

/** Opens the small data set and the tiny model from disk, and starts a run on them. */
async function startSmallRun(page: Page, changes: Readonly<Record<string, number>>): Promise<string> {
  await open(page, "/data");
  await importDataset(page, smallDataset(40));
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("button", { name: /^small/ }).click();
  await page.getByRole("link", { name: t("data.use"), exact: true }).click();
  const folder = mkdtempSync(join(tmpdir(), "nagi-tiny-"));
  try {
    writeTinyModel(join(folder, "tiny"));
    // Scoped to the form: the screen that is being left has such an input too.
    const form = page.getByRole("form", { name: t("reward.form") });
    await form.locator("input[webkitdirectory]").setInputFiles(join(folder, "tiny"));
    await expect(page.getByRole("combobox", { name: t("reward.model_label"), exact: true })).toHaveValue(/^tiny/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  await fillRewardForm(page, { ...TINY, ...changes });
  return startRun(page);
}

/** The same run once more, by way of its record. */
async function repeatRun(page: Page): Promise<string> {
  await page.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  await page.getByRole("link", { name: t("record.again"), exact: true }).click();
  return startRun(page);
}

const resume = (page: Page) => page.getByRole("button", { name: t("run.resume"), exact: true });

test("a closed tab loses nothing up to the last checkpoint", async ({ page, context }) => {
  const runId = await startSmallRun(page, { max_steps: LONG });
  await expectStep(page, 4);
  // One text is longer than the context: it is cut, and the run says so.
  await expect(page.getByText(pattern("run.truncated"))).toBeVisible();
  await page.close();

  const next = await context.newPage();
  await open(next, "/runs");
  await expectState(next, "paused");
  await open(next, `/runs/${runId}`);
  await expect(next.getByText(pattern("run.interrupted_text"))).toBeVisible();
  await expect(chart(next, "loss")).toHaveAttribute("aria-label", /\d/);
  expect(await shownStep(next)).toBeGreaterThanOrEqual(4);
  await resume(next).click();
  await expectState(next, "finished");
  expect(await shownStep(next)).toBe(LONG);
});

interface LogLine {
  readonly type: string;
  readonly step?: number;
  readonly metrics?: Readonly<Record<string, number | null>>;
}

/** Last loss and evaluation of each step, from the file a person can download. */
async function downloadedCurve(page: Page): Promise<Map<string, unknown>> {
  await page.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  const waiting = page.waitForEvent("download");
  await page.getByRole("button", { name: t("record.download_metrics"), exact: true }).click();
  const path = await (await waiting).path();
  const curve = new Map<string, unknown>();
  for (const line of readFileSync(path, "utf8")
    .split("\n")
    .filter((text) => text !== "")) {
    const { type, step, metrics }: LogLine = JSON.parse(line);
    if (type === "log") curve.set(`loss ${step}`, [metrics?.loss, metrics?.grad_norm, metrics?.learning_rate]);
    if (type === "eval") curve.set(`eval ${step}`, [metrics?.eval_loss, metrics?.eval_accuracy, metrics?.eval_auc]);
  }
  return curve;
}

test("an interrupted run's curve equals an uninterrupted one's, to the last bit", async ({ page }) => {
  await startSmallRun(page, { max_steps: LONG });
  await expectState(page, "finished");
  const whole = await downloadedCurve(page);
  expect(whole.size).toBeGreaterThanOrEqual(LONG);

  await repeatRun(page);
  await expectStep(page, 1);
  await page.getByRole("button", { name: t("run.pause"), exact: true }).click();
  await expectState(page, "paused");
  const pausedAt = await shownStep(page);
  await page.reload();
  await resume(page).click();
  await expectStep(page, pausedAt + 2);
  await page.reload(); // without a pause: a crash as far as the run can tell
  await expectState(page, "paused");
  await resume(page).click();
  await expectState(page, "finished");
  expect(await downloadedCurve(page)).toEqual(whole);
});

test("a lost GPU keeps the last checkpoint and offers to resume", async ({ page, browser }) => {
  await startSmallRun(page, { max_steps: 60 });
  await expectStep(page, 5);
  await (await browser.newBrowserCDPSession()).send("Browser.crashGpuProcess");
  const alert = page.getByRole("alert").filter({ hasText: t("errors.gpu.lost.title") });
  await expect(alert).toBeVisible({ timeout: 60_000 });
  await expect(alert).toContainText(pattern("run.failed_kept"));
  await expectState(page, "failed");
  const kept = await shownStep(page);
  await resume(page).click();
  await expectStep(page, kept + 1);
  await page.getByRole("button", { name: t("run.pause"), exact: true }).click();
  await expectState(page, "paused");
});

test("a full storage ends the run with the way out and keeps what is there", async ({ page, baseURL, complaints }) => {
  // Long enough that what is left after the resume is not over before anybody has looked.
  await startSmallRun(page, { max_steps: 600 });
  await expectStep(page, 3);
  const session = await page.context().newCDPSession(page);
  const origin = new URL(baseURL ?? "").origin;
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
  const alert = page.getByRole("alert").filter({ hasText: t("errors.storage.quota.title") });
  await expect(alert).toBeVisible({ timeout: 120_000 });
  await expect(alert).toContainText(t("errors.way_out"));
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await resume(page).click();
  await expectState(page, "running");
  await page.getByRole("button", { name: t("run.pause"), exact: true }).click();
  await expectState(page, "paused");
  // That the end of the run waits in memory until there is room is worth a line in the console; nothing else is.
  const expected = complaints.filter((text) => text.includes("the browser's storage for this site is full"));
  expect(complaints).toEqual(expected);
  complaints.length = 0;
});
