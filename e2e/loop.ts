/** From an evaluation's texts to votes, and from votes to another reward model and another policy. */
import type { Page } from "@playwright/test";
import { expectState, PATIENCE } from "./journey";
import { expect, expectAccessible, open, t } from "./studio";

/** Makes a session of all texts of the evaluation on the screen and votes on them. Returns its id. */
export async function rateAll(page: Page): Promise<string> {
  await page.getByRole("link", { name: t("ratings.from_here"), exact: true }).click();
  await page.getByRole("textbox", { name: t("ratings.repeats") }).fill("0");
  await page.getByRole("button", { name: t("ratings.create"), exact: true }).click();
  await page.waitForURL(/#\/ratings\/(?!new)[^/?]+$/);
  const session = page.url().split("/").at(-1) ?? "";
  await open(page, `/rate/${session}`);
  await page.getByRole("textbox", { name: t("rate.name") }).fill("花子");
  await page.getByRole("button", { name: t("rate.begin"), exact: true }).click();
  const begun = new RegExp(`^${t("rate.count", { done: 0, total: "(\\d+)" })}$`);
  const count = await page.getByText(begun).textContent();
  const items = Number(begun.exec(count ?? "")?.[1]);
  expect(items).toBeGreaterThanOrEqual(4);
  for (let done = 0; done < items; done++) {
    await expect(page.getByText(t("rate.count", { done, total: items }), { exact: true })).toBeVisible();
    await page.keyboard.press("1");
  }
  await expect(page.getByRole("heading", { level: 1, name: t("rate.done_title") })).toBeVisible();
  return session;
}

async function openTraining(page: Page, session: string): Promise<void> {
  await open(page, `/ratings/${session}`);
  await page.getByRole("tab", { name: t("verdicts.tab_train"), exact: true }).click();
}

/** Two clicks, and the pipeline that they begin brought to its end. */
async function learnFromVotes(page: Page, session: string, goal: "reward" | "dpo"): Promise<void> {
  await openTraining(page, session);
  await page.getByRole("button", { name: t(`loop.${goal}`), exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: t("common.start"), exact: true }).click();
  await page.waitForURL(/#\/pipelines\/[^/?]+$/);
  await expectState(page, "finished");
}

/** The reward model and the policy learn from the session's votes; old and new reward model on the votes kept back. */
export async function closeTheLoop(page: Page, session: string): Promise<void> {
  await learnFromVotes(page, session, "reward");
  await openTraining(page, session);
  const fresh = page.getByRole("combobox", { name: t("loop.after"), exact: true });
  await fresh.click();
  // The newest stands first.
  await page.getByRole("option").first().click();
  await page.getByRole("button", { name: new RegExp(t("loop.compare_run", { count: "\\d+" })) }).click();
  await expect(page.getByText(t("loop.mcnemar"))).toBeVisible({ timeout: PATIENCE });
  await expectAccessible(page, "two reward models on votes kept back");
  await learnFromVotes(page, session, "dpo");
}
