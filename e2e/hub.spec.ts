/** A model from a hub: begun, half there, cut by a reload, continued, and one of the studio's models. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { type HubServer, serveHub } from "./hub-server";
import { expect, expectAccessible, open, t, test } from "./studio";
import { writeTinyModel } from "./tiny-model";

const REPO = "cyberagent/open-calm-tiny";

function tinyFiles(): Record<string, Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "nagi-hub-"));
  try {
    writeTinyModel(folder);
    return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function ask(page: Page, hub: HubServer): Promise<void> {
  const dialog = page.getByRole("dialog");
  const repo = dialog.getByLabel(t("download.repo"));
  if ((await repo.inputValue()) === "") {
    await repo.fill(REPO);
    await dialog.getByLabel(t("download.endpoint")).fill(hub.endpoint);
  }
  await dialog.getByRole("button", { name: t("download.start"), exact: true }).click();
  await expect(dialog).toBeHidden();
}

test("a model from a hub, with a reload in the middle", async ({ page }) => {
  const files = tinyFiles();
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const hub = await serveHub(REPO, files, { gate });
  try {
    await open(page, "/data");
    await page.getByRole("button", { name: t("download.open"), exact: true }).click();
    await expectAccessible(page, "the dialog for a model from a hub");
    await ask(page, hub);
    const list = page.getByRole("list", { name: t("download.list") });
    await expect(list).toContainText(REPO);
    await expect(list).toContainText("cc-by-sa-4.0");
    await expect(list.getByRole("button", { name: t("download.stop", { name: REPO }) })).toBeVisible();
    await expectAccessible(page, "a download under way");
    if (process.env.NAGI_SCREENSHOTS)
      await page.screenshot({ path: join(process.env.NAGI_SCREENSHOTS, "hub.png"), fullPage: true });
    await page.reload();
    await list.getByRole("button", { name: t("download.go_on", { name: REPO }) }).click();
    release();
    await ask(page, hub);
    const models = page.getByRole("list", { name: t("data.models"), exact: true });
    const entry = models.getByRole("button", { name: new RegExp(`^${REPO} `) });
    await expect(entry).toBeVisible();
    await entry.click();
    await expect(page.getByText(new URL(hub.endpoint).host)).toBeVisible();
    await expect(list).toBeHidden();
    // What had arrived was not asked for again.
    expect(hub.asked.some(({ range }) => range !== null)).toBe(true);
  } finally {
    release();
    await hub.close();
  }
});
