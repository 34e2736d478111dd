/**
 * Five people rate twenty items over a link, in browsers without WebGPU. One goes offline and comes back, one reloads, the
 * server is killed and started again in between; nothing is lost, and the verdict is the one that scipy, statsmodels and
 * krippendorff find for what the five have pressed.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "@playwright/test";
import { runPython } from "./python";
import { RelayServer } from "./relay-server";
import { expect, expectAccessible, t, test } from "./studio";

const RATERS = ["花子", "太郎", "Ken", "みどり", "次郎"];
const ITEMS = 20;
const REPEATS = 2;
const TOTAL = ITEMS + REPEATS;
/** By the names of the files, which nobody but the host sees. */
const MODELS = ["tide-sft", "tide-ppo"] as const;
/** How a text says which model wrote it, to this file only. */
const MARKS = ["朝", "夕"] as const;

const KEYS = { left: "1", right: "2", tie: "3", both_bad: "4", skip: "s" } as const;
type Choice = keyof typeof KEYS;

interface PressedVote {
  readonly rater: string;
  readonly item: number;
  readonly left: string;
  readonly right: string;
  readonly choice: Choice;
}

const textOf = (item: number, model: number): string => `${item} 番目の${MARKS[model]}の海は、とても静かでした。`;
const fileOf = (model: number) => ({
  name: `${MODELS[model]}.jsonl`,
  mimeType: "application/jsonl",
  buffer: Buffer.from(
    Array.from({ length: ITEMS }, (_, item) =>
      JSON.stringify({ item, prompt: `散歩の ${item} 日目。`, text: textOf(item, model), reward: item / 10 + model }),
    ).join("\n"),
  ),
});

/** Whose text somebody likes: mostly the second model's, not always, with ties and skips; a repeat may differ. */
function taste(rater: number, item: number, again: boolean): 0 | 1 | "tie" | "both_bad" | "skip" {
  const dice = (item * 7 + rater * 11 + (again ? 5 : 0) + ((item * rater) % 5) * 3) % 20;
  if (dice < 11) return 1;
  if (dice < 16) return 0;
  return dice < 18 ? "tie" : dice < 19 ? "both_bad" : "skip";
}

/** One of the five, and everything they press. */
class Rater {
  readonly votes: PressedVote[] = [];
  readonly #seen = new Set<number>();

  private constructor(
    readonly at: number,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async join(browser: Browser, at: number, link: string, complaints: string[]): Promise<Rater> {
    // Every second one has a phone.
    const viewport = at % 2 === 0 ? { width: 390, height: 780 } : { width: 1280, height: 900 };
    const context = await browser.newContext({ locale: "ja-JP", viewport });
    const page = await context.newPage();
    watchBeyondCuts(page, complaints);
    const rater = new Rater(at, context, page);
    await page.goto(link);
    await page.getByLabel(t("live.name")).fill(rater.name);
    if (at === 0) await expectAccessible(page, "the page behind a live link");
    await page.keyboard.press("Enter");
    await rater.expectDone(0);
    return rater;
  }

  get name(): string {
    return RATERS[this.at] ?? "";
  }

  async expectDone(done: number): Promise<void> {
    await expect(this.page.getByText(t("rate.count", { done, total: TOTAL }), { exact: true })).toBeVisible();
  }

  /** Reads what stands there and presses the key. */
  async rate(count: number, wish: typeof taste = taste): Promise<void> {
    for (let i = 0; i < count; i++) {
      const [left, right] = await Promise.all([this.#read(1), this.#read(2)]);
      const { item } = left;
      const liked = wish(this.at, item, this.#seen.has(item));
      const choice = typeof liked === "number" ? (left.model === liked ? "left" : "right") : liked;
      this.#seen.add(item);
      this.votes.push({
        rater: this.name,
        item,
        left: MODELS[left.model] ?? "",
        right: MODELS[right.model] ?? "",
        choice,
      });
      await this.page.keyboard.press(KEYS[choice]);
      await this.expectDone(this.votes.length);
    }
  }

  /** Takes the last vote back and votes the other way. */
  async changeMind(): Promise<void> {
    const last = this.votes.pop();
    await this.page.keyboard.press("u");
    await this.expectDone(this.votes.length);
    if (last !== undefined) this.#seen.delete(last.item);
    await this.rate(1, () => "tie");
  }

  async #read(number: 1 | 2): Promise<{ item: number; model: 0 | 1 }> {
    const text = await this.page.getByRole("article", { name: t("rate.candidate", { number }) }).innerText();
    const found = /(\d+) 番目の(朝|夕)の海/.exec(text);
    if (found === null) throw new Error(`no text of ours: ${text}`);
    return { item: Number(found[1]), model: found[2] === MARKS[0] ? 0 : 1 };
  }
}

/** What a page must not say, but for a server that is not there. */
function watchBeyondCuts(page: Page, complaints: string[]): void {
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    if (/WebSocket connection to .* failed/.test(message.text())) return;
    complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
}

/** Makes the session from two files and opens it to raters. Returns their link. */
async function hostSession(page: Page, url: string): Promise<string> {
  await page.goto(`${url}#/ratings/new`);
  await page.getByText(t("ratings.from_files"), { exact: true }).click();
  await page.locator('input[type="file"]').setInputFiles([fileOf(0), fileOf(1)]);
  await page.getByRole("textbox", { name: t("ratings.repeats"), exact: true }).fill(String(REPEATS));
  await page.getByRole("textbox", { name: t("ratings.seed"), exact: true }).fill("20261124");
  await page.getByRole("button", { name: t("ratings.create"), exact: true }).click();
  await page.getByRole("tab", { name: t("verdicts.tab_raters"), exact: true }).click();
  await page.getByRole("button", { name: t("live.host.start"), exact: true }).click();
  const link = page.locator(".ng-live-link").first();
  await expect(link).toHaveText(/^http:\/\/localhost:\d+\/live\/[2-9A-Z]{4}-[2-9A-Z]{4}$/);
  return link.innerText();
}

async function exported(page: Page, format: "votes" | "figures"): Promise<string> {
  await page.getByRole("button", { name: t("verdicts.export"), exact: true }).click();
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("menuitem", { name: t(`verdicts.export_${format}`), exact: true }).click(),
  ]);
  return readFileSync(await file.path(), "utf8");
}

/** Numbers within 1e-9 of each other, anything else alike. NaN is like nothing. */
function expectSame(found: unknown, wanted: unknown, where: string): void {
  if (typeof wanted === "number") {
    expect(typeof found, where).toBe("number");
    const difference = Math.abs(Number(found) - wanted);
    expect(!(difference <= 1e-9), `${where}: ${found}, not ${wanted}`).toBe(false);
  } else if (typeof wanted === "object" && wanted !== null) {
    expect(typeof found === "object" && found !== null, where).toBe(true);
    for (const [key, value] of Object.entries(wanted))
      expectSame(Object.entries(found ?? {}).find(([name]) => name === key)?.[1], value, `${where}.${key}`);
  } else expect(found, where).toBe(wanted);
}

test("five raters over a link, with cuts, and the verdict Python finds", async ({ browser, complaints }) => {
  const server = await RelayServer.start();
  const contexts: BrowserContext[] = [];
  try {
    const host = await browser.newContext({ locale: "ja-JP", viewport: { width: 1280, height: 900 } });
    contexts.push(host);
    const page = await host.newPage();
    watchBeyondCuts(page, complaints);
    const link = await hostSession(page, server.url);
    const raters: Rater[] = [];
    for (const at of RATERS.keys()) {
      const rater = await Rater.join(browser, at, link, complaints);
      contexts.push(rater.context);
      raters.push(rater);
    }
    const row = (name: string) => page.locator(".ng-live-raters li").filter({ hasText: name });
    const [first, away, reloading] = raters;
    if (first === undefined || away === undefined || reloading === undefined) throw new Error("no raters");

    for (const rater of raters) await rater.rate(6);
    await first.changeMind();
    for (const { name } of raters) await expect(row(name)).toContainText(t("rate.count", { done: 6, total: TOTAL }));
    for (const model of MODELS) expect(await first.page.content()).not.toContain(model);
    await expectAccessible(page, "the host's panel of a live session");

    // One sits in a train.
    await away.context.setOffline(true);
    await away.rate(5);
    await expect(away.page.getByText(t("rate.offline", { count: 5 }))).toBeVisible();
    await expect(row(away.name)).toContainText(t("live.host.away"));

    // The server is killed; people go on.
    await server.kill();
    for (const rater of raters) if (rater !== away) await rater.rate(4);
    await expect(page.getByText(t("live.host.offline"))).toBeVisible();
    await server.start();
    await expect(page.getByText(t("live.host.offline"))).toBeHidden();
    for (const rater of raters)
      if (rater !== away) await expect(row(rater.name)).toContainText(t("rate.count", { done: 10, total: TOTAL }));
    await expect(row(away.name)).toContainText(t("rate.count", { done: 6, total: TOTAL }));

    // The train arrives; somebody reloads and goes on under the same name.
    await away.context.setOffline(false);
    await expect(row(away.name)).toContainText(t("rate.count", { done: 11, total: TOTAL }));
    await reloading.page.reload();
    await reloading.expectDone(10);

    for (const rater of raters) await rater.rate(TOTAL - rater.votes.length);
    for (const { name, page: own } of raters) {
      await expect(row(name)).toContainText(t("live.host.finished"));
      await expect(own.getByText(t("live.done"))).toBeVisible();
    }
    await page.getByRole("button", { name: t("live.host.collect"), exact: true }).click();
    await expect(page.getByText(/に取り込みました$/)).toBeVisible();

    // What the host has is what was pressed.
    await page.getByRole("tab", { name: t("verdicts.tab_items"), exact: true }).click();
    const pressed = raters.flatMap(({ votes }) => votes);
    const collected = (await exported(page, "votes"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const plain = ({ rater, item, left, right, choice }: PressedVote) => `${rater} ${item} ${left} ${right} ${choice}`;
    expect(collected.map(plain).sort()).toEqual(pressed.map(plain).sort());

    // And the verdict is Python's.
    const file = join(mkdtempSync(join(tmpdir(), "nagi-votes-")), "votes.jsonl");
    writeFileSync(file, pressed.map((vote) => JSON.stringify({ ...vote, ms: 0 })).join("\n"));
    const wanted: unknown = JSON.parse(await runPython("nagi_worker.golden_verdict", file));
    const { verdict } = JSON.parse(await exported(page, "figures"));
    expectSame(verdict, wanted, "verdict");
    expect(verdict.votes).toBeGreaterThan(70);
    expect(verdict.fleiss_kappa).not.toBeNull();
  } finally {
    for (const context of contexts) await context.close();
    await server.kill();
  }
});
