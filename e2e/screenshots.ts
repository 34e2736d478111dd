/**
 * Pictures of every screen, wide and phone, light and dark, for people to look at; and the one in the README.
 * NAGI_SCREENSHOTS=FOLDER npx playwright test --config e2e/playwright.config.ts --project screenshots
 * NAGI_SCREENSHOT_STEPS (default 24) is the length of the run they show.
 */
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expectState, expectStep, fillRewardForm, importDataset, startRun } from "./journey";
import { open, t, test } from "./studio";

const folder = process.env.NAGI_SCREENSHOTS ?? "";
const steps = Number(process.env.NAGI_SCREENSHOT_STEPS ?? 24);
const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

async function shoot(page: Page, name: string): Promise<void> {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.waitForTimeout(400); // charts are drawn in the frame after next
      await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(SIZES.wide);
  await page.emulateMedia({ colorScheme: "light" });
}

test("screens", async ({ page }) => {
  test.setTimeout(3_600_000);
  for (const [name, route] of Object.entries({
    home: "/",
    data: "/data",
    models: "/models",
    settings: "/settings",
    webgpu: "/webgpu",
    empty: "/runs",
  })) {
    await open(page, route);
    await page.waitForLoadState("networkidle");
    await shoot(page, name);
  }
  await open(page, "/data");
  await importDataset(page, { name: "broken.jsonl", text: '{"sentence":\n' });
  await page.getByRole("alert").waitFor();
  await shoot(page, "import-error");

  await open(page, "/reward/new");
  await fillRewardForm(page, { learning_rate: "abc" });
  await shoot(page, "form-error");
  await fillRewardForm(page, {
    learning_rate: "5e-4",
    max_steps: steps,
    max_length: 64,
    eval_steps: Math.max(2, Math.floor(steps / 8)),
    save_steps: Math.max(2, Math.floor(steps / 4)),
  });
  await shoot(page, "form");
  const runId = await startRun(page);
  await expectState(page, "running");
  await expectStep(page, Math.floor(steps * 0.7), 3_000_000);
  await page.screenshot({ path: join(folder, "run.png") });
  await page.getByRole("button", { name: t("run.pause"), exact: true }).click();
  await expectState(page, "paused");
  await shoot(page, "run-paused");
  await page.getByRole("button", { name: t("run.resume"), exact: true }).click();
  await expectState(page, "finished", 3_000_000);
  await shoot(page, "run-curves");
  for (const tab of ["result", "samples", "try", "record"]) {
    await page.getByRole("tab", { name: t(`run.tab_${tab}`), exact: true }).click();
    if (tab === "try") {
      await page.getByRole("textbox", { name: t("try.label") }).fill(t("try.example_1"));
      await page.getByRole("button", { name: t("try.submit"), exact: true }).click();
      await page
        .getByRole("row")
        .filter({ hasText: t("try.example_1") })
        .waitFor();
    }
    await shoot(page, `run-${tab}`);
  }
  await open(page, "/runs");
  await shoot(page, "history");
  await open(page, "/");
  await shoot(page, "home-with-run");
  await open(page, `/runs/${runId}x`);
  await shoot(page, "run-missing");
});
