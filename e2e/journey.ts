/** Steps that several journeys take: filling the form, opening files, watching a run. */
import { expect, type Locator, type Page } from "@playwright/test";
import { fill, pattern, t } from "./studio";

/** Milliseconds that a stage on a software GPU may take on a busy machine; far more than any needs. */
export const PATIENCE = 240_000;

export interface TextFile {
  readonly name: string;
  readonly text: string;
}

/** Opens a data set from disk through the dialog. Returns the dialog, which stays open where the files are refused. */
export async function importDataset(page: Page, train: TextFile, validation?: TextFile): Promise<Locator> {
  await page.getByRole("button", { name: t("data.import"), exact: true }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toBeVisible();
  const inputs = dialog.locator('input[type="file"]');
  const choose = (index: number, file: TextFile) =>
    inputs
      .nth(index)
      .setInputFiles({ name: file.name, mimeType: "text/plain", buffer: Buffer.from(file.text, "utf8") });
  await choose(0, train);
  if (validation) await choose(1, validation);
  await dialog.getByRole("button", { name: t("data.import_submit"), exact: true }).click();
  return dialog;
}

/** A small data set that a few steps can learn, with one text longer than any context the journeys use. */
export function smallDataset(rows: number): TextFile {
  const good = ["とても良い品でした", "気に入って毎日使っています", "買って正解です", "音がきれいで満足"];
  const bad = ["すぐに壊れました", "二度と買いません", "期待はずれです", "音が割れて使えない"];
  const lines = Array.from({ length: rows }, (_, i) => {
    const positive = i % 2 === 0;
    const sentence = `${(positive ? good : bad)[(i >> 1) % 4]}。${i} 番目の感想。${i === 0 ? "とても長い話。".repeat(60) : ""}`;
    return JSON.stringify({ sentence, label: positive ? "positive" : "negative" });
  });
  return { name: "small.jsonl", text: `${lines.join("\n")}\n` };
}

/** Opens the form with the advanced fields and writes `values` into the number fields. */
export async function fillRewardForm(page: Page, values: Readonly<Record<string, string | number>>): Promise<void> {
  const advanced = page.getByRole("button", { name: t("reward.advanced"), exact: true });
  if ((await advanced.getAttribute("aria-expanded")) !== "true") await advanced.click();
  for (const [name, value] of Object.entries(values))
    await fill(page.getByRole("textbox", { name: t(`fields.${name}.label`), exact: true }), value);
}

export const startButton = (page: Page): Locator => page.getByRole("button", { name: t("common.start"), exact: true });

/** Presses start and waits for the run's own screen. Returns its id. */
export async function startRun(page: Page): Promise<string> {
  await startButton(page).click();
  await page.waitForURL(/#\/runs\/[^/?]+$/);
  return page.url().replace(/^.*#\/runs\//, "");
}

/** The step the progress line shows; -1 before the first. */
export async function shownStep(page: Page): Promise<number> {
  const text = await page
    .getByText(pattern("run.step_of"))
    .first()
    .textContent({ timeout: 1000 })
    .catch(() => null);
  const digits = /[\d,]+/.exec(text ?? "")?.[0];
  return digits === undefined ? -1 : Number(digits.replaceAll(",", ""));
}

export async function expectStep(page: Page, atLeast: number, timeout = PATIENCE): Promise<void> {
  await expect.poll(() => shownStep(page), { timeout, intervals: [100] }).toBeGreaterThanOrEqual(atLeast);
}

/** The chart of a metric; its accessible name says the last step and value in words. */
export function chart(page: Page, metric: string): Locator {
  const title = t(`metrics.${metric}.label`);
  const start = t("charts.summary_empty", { title }).split("。")[0] ?? title;
  return page.getByRole("img", { name: start });
}

/** The run's state as its badge says it; where it does not come, the failure repeats what the page says instead. */
export async function expectState(page: Page, state: string, timeout = PATIENCE): Promise<void> {
  const badge = page.locator(".ng-state");
  const wanted = badge.filter({ hasText: t(`state.${state}`) }).first();
  try {
    await expect(wanted).toBeVisible({ timeout });
  } catch (error) {
    const said = [...(await badge.allTextContents()), ...(await page.getByRole("alert").allTextContents())];
    throw new Error(`no "${state}" at step ${await shownStep(page)}; the page says: ${said.join(" | ")}`, {
      cause: error,
    });
  }
}
