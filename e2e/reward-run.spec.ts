/** The studio's main journey, from a fresh profile to a scored sentence, on the bundled model and data. */
import {
  chart,
  expectState,
  expectStep,
  fillRewardForm,
  importDataset,
  PATIENCE,
  shownStep,
  smallDataset,
  startButton,
  startRun,
} from "./journey";
import { expect, expectAccessible, open, pattern, t, test } from "./studio";

/** Few tokens a text for a software GPU; the rows are the bundled ones, all of them, evaluated in batches of this size. */
const TINY = {
  max_steps: 6,
  per_device_train_batch_size: 16,
  max_length: 8,
  eval_steps: 3,
  save_steps: 3,
  logging_steps: 1,
};

test("the form refuses what it cannot use and says why", async ({ page }) => {
  await open(page, "/reward/new");
  await expect(startButton(page)).toBeEnabled();
  await fillRewardForm(page, { learning_rate: "abc", max_length: 0 });
  await expect(startButton(page)).toBeDisabled();
  const field = (name: string) => page.getByRole("textbox", { name: t(`fields.${name}.label`), exact: true });
  await expect(field("learning_rate")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByText(pattern("problems.not_a_number")).first()).toBeVisible();
  await expect(page.getByText(pattern("problems.out_of_range")).first()).toBeVisible();
  await expectAccessible(page, "a form with problems");
  await fillRewardForm(page, { learning_rate: "5e-4", max_length: 64 });
  await expect(startButton(page)).toBeEnabled();
});

test("a data set opened on the reward screen is chosen there, and nothing starts by itself", async ({ page }) => {
  await open(page, "/reward/new");
  await importDataset(page, smallDataset(40));
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("combobox", { name: t("reward.dataset_label"), exact: true })).toHaveValue(/^small/);
  await expect(
    page
      .getByText(t("common.rows_count", { count: 36 }))
      .or(page.getByText("36", { exact: true }))
      .first(),
  ).toBeVisible();
  expect(page.url()).toContain("/reward/new");
  await open(page, "/runs");
  await expect(page.getByText(t("runs.empty_title"))).toBeVisible();
});

test("a reward model learns in the tab: start, pause, reload, resume, finish, score", async ({ page }) => {
  await open(page, "/reward/new");
  // What the person sees before starting: the model's size, the data's balance and lengths, ten samples.
  await expect(page.getByText(t("model.parameters"), { exact: true })).toBeVisible();
  await expect(page.getByText(t("dataset.balance"), { exact: true }).first()).toBeVisible();
  await fillRewardForm(page, TINY);
  const runId = await startRun(page);

  // The chart moves, and says so in words too.
  await expectState(page, "running");
  await expectStep(page, 1);
  const loss = chart(page, "loss");
  const words = await loss.getAttribute("aria-label");
  const pixels = await loss.screenshot();
  await expectStep(page, 2);
  await expect(loss).not.toHaveAttribute("aria-label", words ?? "");
  await expect.poll(async () => (await loss.screenshot()).equals(pixels), "the curve is the old one").toBe(false);

  // The page answers while the worker trains.
  await page.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  await expect(page.getByText(runId).first()).toBeVisible();
  await page.getByRole("tab", { name: t("run.tab_curves"), exact: true }).click();

  // The baselines stand beside the accuracy from the first evaluation on.
  await expectStep(page, 3);
  const accuracy = chart(page, "eval_accuracy");
  await expect(accuracy).toHaveAttribute("aria-label", /\d%/, { timeout: PATIENCE });
  await expect(accuracy).toHaveAttribute("aria-label", new RegExp(t("charts.majority")));
  await expect(accuracy).toHaveAttribute("aria-label", new RegExp(t("charts.ngram")));

  await page.getByRole("button", { name: t("run.pause"), exact: true }).click();
  await expectState(page, "paused");
  const pausedAt = await shownStep(page);
  expect(pausedAt).toBeGreaterThanOrEqual(3);
  expect(pausedAt).toBeLessThan(TINY.max_steps);
  await expectAccessible(page, "a paused run");
  const curve = await loss.getAttribute("aria-label");

  // After a reload the whole curve is there, and the run continues where it was.
  await page.reload();
  await expectState(page, "paused");
  await expect(loss).toHaveAttribute("aria-label", curve ?? "");
  expect(await shownStep(page)).toBe(pausedAt);
  await page.getByRole("button", { name: t("run.resume"), exact: true }).click();
  await expectStep(page, pausedAt + 1);
  await expectState(page, "finished");
  expect(await shownStep(page)).toBe(TINY.max_steps);

  // Final figures, with the baselines, and the calibration.
  await page.getByRole("tab", { name: t("run.tab_result"), exact: true }).click();
  await expect(page.getByText(t("result.accuracy"), { exact: true }).first()).toBeVisible();
  await expect(page.getByText(t("result.ngram"), { exact: true }).first()).toBeVisible();
  await expect(page.getByRole("img", { name: pattern("result.calibration_chart") })).toBeVisible();
  await expectAccessible(page, "the result");

  // The worst mistakes first.
  await page.getByRole("tab", { name: t("run.tab_samples"), exact: true }).click();
  await expect(page.getByText(pattern("samples.count")).first()).toBeVisible();
  await expectAccessible(page, "the mistakes");

  // Two sentences get two rewards.
  await page.getByRole("tab", { name: t("run.tab_try"), exact: true }).click();
  const rewards: number[] = [];
  for (const sentence of [t("try.example_1"), t("try.example_2")]) {
    await page.getByRole("textbox", { name: t("try.label") }).fill(sentence);
    await page.getByRole("button", { name: t("try.submit"), exact: true }).click();
    const row = page.getByRole("row").filter({ hasText: sentence });
    await expect(row).toBeVisible({ timeout: 60_000 });
    rewards.push(Number(await row.getByRole("cell").first().textContent()));
  }
  expect(rewards.every(Number.isFinite)).toBe(true);
  expect(rewards[0]).not.toBe(rewards[1]);
  await expectAccessible(page, "a scored sentence");

  await page.getByRole("tab", { name: t("run.tab_record"), exact: true }).click();
  await expect(page.getByText(runId).first()).toBeVisible();
  await expectAccessible(page, "the record");

  // The history lists it, and forgets it when asked to.
  await open(page, "/runs");
  await expect(page.getByText(t("state.finished"), { exact: true })).toBeVisible();
  await expectAccessible(page, "the history");
  await page.getByRole("button", { name: t("runs.delete_label", { name: "reward" }) }).click();
  await page
    .getByRole("dialog")
    .getByRole("button", { name: t("common.delete"), exact: true })
    .click();
  await expect(page.getByText(t("runs.empty_title"))).toBeVisible();
});
