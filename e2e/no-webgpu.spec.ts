/** A browser without WebGPU: the page says what is missing here and what still works. */
import { importDataset, smallDataset, startButton } from "./journey";
import { expect, expectAccessible, open, t, test } from "./studio";

test("explains what is missing and what still works", async ({ page }) => {
  await open(page, "/");
  await expect(page.getByText(t("support.banner"))).toBeVisible();
  await page.getByRole("link", { name: t("support.banner_link"), exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: t("support.title") })).toBeVisible();
  // Chromium on Linux: either the API is absent or no adapter is found, and the advice is that system's.
  await expect(
    page
      .getByText(t("support.reason_no_api"))
      .or(page.getByText(t("support.reason_no_adapter")))
      .first(),
  ).toBeVisible();
  await expect(page.getByText(t("support.step.chrome_linux_flags"))).toBeVisible();
  await expect(page.getByText(t("support.still_data"))).toBeVisible();
  await expectAccessible(page, "the WebGPU page");
});

test("data can be inspected, a run cannot be started", async ({ page }) => {
  await open(page, "/data");
  await importDataset(page, smallDataset(20));
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("button", { name: /^small/ }).click();
  await expect(page.getByText(t("dataset.balance"), { exact: true }).first()).toBeVisible();
  await open(page, "/reward/new");
  await expect(startButton(page)).toBeDisabled();
  await expect(page.getByText(t("reward.start_no_gpu"))).toBeVisible();
});
