/**
 * A worker behind NAT: it dials a relay that `npm start -- --relay` serves, the studio finds it by the pairing code that
 * the worker shows, and both find each other again after the relay was killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RelayServer } from "./relay-server";
import { expect, fill, t, test } from "./studio";
import { command, remote } from "./worker-process";

const PATIENCE = 300_000;

/** Starts `nagi-worker join`. Resolves with the pairing code it shows. */
function joinRelay(address: string, folder: string): Promise<{ child: ChildProcess; code: string }> {
  const [program, args] = command(["join", address, "--data", folder]);
  const env = { ...process.env, PYTHONPATH: remote };
  const child = spawn(program, args, { cwd: remote, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  return new Promise((resolve, reject) => {
    const hear = (data: Buffer): void => {
      said += data.toString("utf8");
      const code = /\b[2-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b/.exec(said)?.[0];
      if (code !== undefined) resolve({ child, code });
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("exit", () => reject(new Error(`the worker ended:\n${said}`)));
    child.once("error", reject);
  });
}

test("a worker that dials out is found by its pairing code, also after the relay was killed", async ({ browser }) => {
  test.setTimeout(PATIENCE * 2);
  const folder = mkdtempSync(join(tmpdir(), "nagi-e2e-joined-"));
  const server = await RelayServer.start();
  const context = await browser.newContext({ locale: "ja-JP" });
  let child: ChildProcess | null = null;
  try {
    const relay = server.url.replace(/^http/, "ws").replace(/\/$/, "");
    const joined = await joinRelay(relay, folder);
    child = joined.child;
    const page = await context.newPage();
    const uncaught: string[] = [];
    page.on("pageerror", (error) => uncaught.push(error.message));
    await page.goto(`${server.url}#/workers`);
    await page.getByText(t("workers.via_relay"), { exact: true }).click();
    const submit = page.getByRole("button", { name: t("workers.connect"), exact: true });
    const code = page.getByRole("textbox", { name: t("workers.code"), exact: true });
    await fill(page.getByRole("textbox", { name: t("workers.relay_url"), exact: true }), relay);

    // Nobody has this code; then the right worker with the wrong token behind it.
    await fill(code, "0000-AAAA-AAAA");
    await submit.click();
    await expect(page.getByText(t("errors.relay.unknown_code.title"))).toBeVisible();
    await fill(code, `${joined.code.slice(0, 4)}-AAAA-AAAA`);
    await submit.click();
    await expect(page.getByText(t("errors.worker.token.title"))).toBeVisible();

    await fill(code, joined.code);
    await submit.click();
    const connected = page.getByText(t("workers.state.connected"), { exact: true });
    await expect(connected).toBeVisible();
    await expect(page.getByText(/PyTorch 2/)).toBeVisible();

    await server.kill();
    await expect(connected).toBeHidden();
    await server.start();
    await expect(connected).toBeVisible({ timeout: PATIENCE });
    await expect(page.getByText(t("workers.queue_empty"))).toBeVisible();
    expect(uncaught).toEqual([]);
  } finally {
    await context.close();
    child?.kill();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});
