/**
 * A model from a hub as CyberAgent publishes them: pytorch_model.bin at a pull request's revision. The connection breaks,
 * bytes are damaged, the page is reloaded in the middle; then it is one of the studio's models, and can be deleted.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { type HubServer, serveHub } from "./hub-server";
import { expect, expectAccessible, open, t, test } from "./studio";
import { writeTinyTorchModel } from "./tiny-model";

const REPO = "cyberagent/open-calm-tiny";
const REVISION = "refs/pr/1";

function tinyFiles(): Record<string, Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "nagi-hub-"));
  try {
    writeTinyTorchModel(folder);
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
    await dialog.getByLabel(t("download.revision"), { exact: true }).fill(REVISION);
    await dialog.getByLabel(t("download.endpoint")).fill(hub.endpoint);
  }
  await expect(dialog.getByLabel(t("download.revision"), { exact: true })).toHaveValue(REVISION);
  await dialog.getByRole("button", { name: t("download.start"), exact: true }).click();
  await expect(dialog).toBeHidden();
}

test("a model from a hub, with a reload in the middle", async ({ page }) => {
  const files = tinyFiles();
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  // The second answer breaks off, the third one has a wrong byte; weights stop half-way.
  const hub = await serveHub(REPO, files, { gate, cuts: [null, 100], damage: [false, false, true] });
  try {
    await open(page, "/models");
    await page.getByRole("button", { name: t("download.open"), exact: true }).click();
    await expectAccessible(page, "the dialog for a model from a hub");
    await ask(page, hub);
    const list = page.getByRole("list", { name: t("download.list") });
    await expect(list).toContainText(REPO);
    await expect(list).toContainText("CC BY-SA 4.0");
    await expect(list.getByRole("button", { name: t("download.stop", { name: REPO }) })).toBeVisible();
    // The weights have begun: all before them is there, whatever was broken or damaged.
    await expect.poll(() => hub.asked.filter(({ path }) => path.endsWith(".bin")).length).toBe(1);
    await expectAccessible(page, "a download under way");
    if (process.env.NAGI_SCREENSHOTS)
      for (const [name, width, scheme] of SHOTS) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        await page.screenshot({ path: join(process.env.NAGI_SCREENSHOTS, `${name}.png`), fullPage: true });
      }
    await page.reload();
    await list.getByRole("button", { name: t("download.go_on", { name: REPO }) }).click();
    release();
    await ask(page, hub);
    const models = page.getByRole("list", { name: t("models.list"), exact: true });
    const entry = models.getByRole("listitem").filter({ has: page.getByRole("heading", { name: REPO }) });
    await expect(entry).toContainText(new URL(hub.endpoint).host);
    await expect(entry).toContainText(REVISION);
    await expect(entry).toContainText("CC BY-SA 4.0");
    await expect(entry).toContainText("CyberAgent, Inc.");
    await expect(list).toBeHidden();
    // What had arrived was not asked for again.
    expect(hub.asked.some(({ path, range }) => path.endsWith(".bin") && range !== null)).toBe(true);
    await entry.getByRole("button", { name: t("data.remove", { name: REPO }) }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText(t("models.unused"));
    await dialog.getByRole("button", { name: t("common.delete"), exact: true }).click();
    await expect(entry).toBeHidden();
  } finally {
    release();
    await hub.close();
  }
});

const SHOTS = [
  ["models", 1280, "light"],
  ["models-dark", 1280, "dark"],
  ["models-phone", 390, "light"],
] as const;
