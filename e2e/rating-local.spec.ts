/**
 * The evening on one machine: two files of texts, two raters in turn, a third by a bundle file in a browser of their own,
 * the verdict, its table as files. No WebGPU, no server, nothing trained.
 */
import { readFileSync } from "node:fs";
import type { Download, Page } from "@playwright/test";
import { expect, expectAccessible, open, t, test } from "./studio";

const MODELS = ["tide-sft", "tide-ppo"] as const;
const ITEMS = 8;
const TOTAL = ITEMS;
/** How a text says which model wrote it, to this file only. */
const MARKS = ["朝", "夕"] as const;

const fileOf = (model: number, count = ITEMS) => ({
  name: `${MODELS[model]}.jsonl`,
  mimeType: "application/jsonl",
  buffer: Buffer.from(
    Array.from({ length: count }, (_, item) =>
      JSON.stringify({
        item,
        prompt: `散歩の ${item} 日目。`,
        text: `${MARKS[model]}の海は、とても静かでした。`,
        reward: Math.sin(item + model),
      }),
    ).join("\n"),
  ),
});

async function makeSession(page: Page): Promise<string> {
  await open(page, "/ratings/new");
  await page.locator('input[type="file"]').setInputFiles([fileOf(0), fileOf(1)]);
  await expect(page.getByText(t("ratings.plan"))).toBeVisible();
  await page.getByRole("textbox", { name: t("ratings.repeats") }).fill("0");
  await expectAccessible(page, "a new rating");
  await page.getByRole("button", { name: t("ratings.create"), exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: t("ratings.default_name") })).toBeVisible();
  return page.url().split("/").at(-1) ?? "";
}

/** What nobody who rates may see, in the page or in its address. */
async function expectBlind(page: Page): Promise<void> {
  const seen = (await page.content()) + page.url();
  for (const secret of [...MODELS, "tide", "reward"]) expect(seen).not.toContain(secret);
}

const status = (page: Page, done: number) => page.getByText(t("rate.count", { done, total: TOTAL }), { exact: true });

/** Votes on all that is left; the key by what stands on the left. */
async function voteOn(page: Page, from: number, key: (left: string, number: number) => string): Promise<void> {
  for (let done = from; done < TOTAL; done++) {
    await expect(status(page, done)).toBeVisible();
    await expectBlind(page);
    const left = (await page.getByRole("article").first().textContent()) ?? "";
    await page.keyboard.press(key(left, done));
  }
  await expect(page.getByRole("heading", { level: 1, name: t("rate.done_title") })).toBeVisible();
}

const likesEvenings = (left: string): string => (left.includes(MARKS[1]) ? "1" : "2");

async function enter(page: Page, session: string, name: string): Promise<void> {
  await open(page, `/rate/${session}`);
  await page.getByRole("textbox", { name: t("rate.name") }).fill(name);
  await page.getByRole("button", { name: t("rate.begin"), exact: true }).click();
  await expect(page.getByRole("article")).toHaveCount(2);
}

async function contentOf(download: Download): Promise<string> {
  return readFileSync(await download.path(), "utf8");
}

async function exported(page: Page, format: string): Promise<Download> {
  await page.getByRole("button", { name: t("verdicts.export"), exact: true }).click();
  const waiting = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: t(`verdicts.export_${format}`), exact: true }).click();
  return waiting;
}

test("two in turn, one by file, and a verdict", async ({ page, browser }) => {
  const session = await makeSession(page);
  await expect(page.getByText(t("raters.none"))).toBeVisible();

  await enter(page, session, "花子");
  await expectAccessible(page, "the rater's page");
  // A key pressed by mistake is taken back; a reload loses nothing.
  await page.keyboard.press("3");
  await expect(status(page, 1)).toBeVisible();
  await page.keyboard.press("u");
  await expect(status(page, 0)).toBeVisible();
  await page.keyboard.press(likesEvenings((await page.getByRole("article").first().textContent()) ?? ""));
  await expect(status(page, 1)).toBeVisible();
  await page.reload();
  await voteOn(page, 1, likesEvenings);
  await page.getByRole("link", { name: t("rate.next_rater"), exact: true }).click();
  await page.getByRole("textbox", { name: t("rate.name") }).fill("太郎");
  await page.getByRole("button", { name: t("rate.begin"), exact: true }).click();
  // On a phone there are no keys.
  await page.setViewportSize({ width: 390, height: 844 });
  await expectAccessible(page, "the rater's page on a phone");
  for (let done = 0; done < TOTAL; done++) {
    await expect(status(page, done)).toBeVisible();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    expect(wide, "the page scrolls sideways").toBe(false);
    await page.getByRole("button", { name: t("rate.choice_left") }).click();
  }
  await expect(page.getByRole("heading", { level: 1, name: t("rate.done_title") })).toBeVisible();
  await page.setViewportSize({ width: 1280, height: 900 });

  // A bundle goes out, is voted on in another browser, and the votes come back.
  await open(page, `/ratings/${session}`);
  await page.getByRole("tab", { name: t("verdicts.tab_raters"), exact: true }).click();
  await page.getByRole("textbox", { name: t("raters.bundle_name") }).fill("みどり");
  const sent = page.waitForEvent("download");
  await page.getByRole("button", { name: t("raters.make_bundle"), exact: true }).click();
  const bundle = await contentOf(await sent);
  for (const secret of [...MODELS, "tide", "reward", "seed"]) expect(bundle).not.toContain(secret);

  const other = await browser.newContext({ locale: "ja-JP" });
  const away = await other.newPage();
  await open(away, "/ratings");
  const bundleFile = (text: string) => ({ name: "b.json", mimeType: "application/json", buffer: Buffer.from(text) });
  const openBundle = away.locator('input[type="file"]');
  await openBundle.setInputFiles(bundleFile(bundle.replace("海は", "山は")));
  await expect(away.getByRole("alert")).toContainText(t("errors.rating.bad_file.title"));
  await openBundle.setInputFiles(bundleFile(bundle));
  await expect(away.getByRole("article")).toHaveCount(2);
  await voteOn(away, 0, (left, number) => (number === 0 ? "s" : likesEvenings(left)));
  const back = away.waitForEvent("download");
  await away.getByRole("button", { name: t("rate.save_votes"), exact: true }).click();
  const votes = await contentOf(await back);
  await away.goto("./#/ratings");
  await expect(away.getByRole("heading", { level: 2, name: t("ratings.bundles") })).toBeVisible();
  await other.close();

  const importVotes = page.locator(`input[type="file"][aria-label="${t("raters.import")}"]`);
  await importVotes.setInputFiles(bundleFile(votes.replace(session, "another")));
  await expect(page.getByRole("alert")).toContainText(t("errors.rating.foreign.title"));
  await importVotes.setInputFiles(bundleFile(bundle));
  await expect(page.getByRole("alert")).toContainText(t("errors.rating.bad_file.title"));
  await importVotes.setInputFiles(bundleFile(votes));
  await expect(page.getByRole("row", { name: "みどり" })).toContainText(t("raters.source_file"));
  await importVotes.setInputFiles(bundleFile(votes));
  await expect(page.getByRole("alert")).toContainText(t("errors.rating.duplicate.title"));
  await expectAccessible(page, "the raters of a session");

  // The verdict, its table and the files.
  await page.getByRole("tab", { name: t("verdicts.tab_verdict"), exact: true }).click();
  await expect(page.locator(".ng-verdict")).toContainText("tide-ppo");
  await expectAccessible(page, "the verdict");
  await page.getByRole("tab", { name: t("verdicts.tab_items"), exact: true }).click();
  await expect(page.getByRole("table", { name: t("verdicts.items") }).getByRole("row")).toHaveCount(ITEMS + 1);
  await expectAccessible(page, "the verdict's table");
  await expectExports(page);
  await page.getByRole("tab", { name: t("verdicts.tab_reward"), exact: true }).click();
  await expect(page.getByText(t("verdicts.spearman"))).toBeVisible();
  await expectAccessible(page, "reward against people");
  await page.getByRole("tab", { name: t("verdicts.tab_train"), exact: true }).click();
  await page.getByRole("button", { name: t("loop.only_pairs"), exact: true }).click();
  await expect(page.getByText(t("loop.made"))).toBeVisible();
  await expectAccessible(page, "learning from votes");
  await open(page, "/data");
  await expect(
    page.getByRole("link", { name: t("loop.pairs_name", { name: t("ratings.default_name") }), exact: true }),
  ).toBeVisible();
});

async function expectExports(page: Page): Promise<void> {
  const markdown = await contentOf(await exported(page, "md"));
  expect(markdown.split("\n").filter((line) => line.startsWith("| "))).toHaveLength(ITEMS + 2);
  expect(markdown).toContain("tide-ppo");
  const csv = await contentOf(await exported(page, "csv"));
  expect(csv.trimEnd().split("\n")).toHaveLength(ITEMS + 1);
  const rows = (await contentOf(await exported(page, "jsonl"))).trimEnd().split("\n");
  expect(rows).toHaveLength(ITEMS);
  expect(await contentOf(await exported(page, "svg"))).toContain("<svg");
  const png = readFileSync(await (await exported(page, "png")).path());
  expect(png.subarray(1, 4).toString()).toBe("PNG");
  const votes = await contentOf(await exported(page, "votes"));
  expect(votes.trimEnd().split("\n")).toHaveLength(3 * TOTAL);
  const { verdict } = JSON.parse(await contentOf(await exported(page, "figures")));
  expectCounted(verdict, votes);
}

/** The counts of the verdict, counted again from the votes file. */
function expectCounted(verdict: Readonly<Record<string, unknown>>, lines: string): void {
  const cast = lines
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ choice }) => choice !== "skip");
  const wins = { A: 0, B: 0, tie: 0 };
  for (let item = 0; item < ITEMS; item++) {
    const own = cast.filter((vote) => vote.item === item).map((vote) => vote[vote.choice]);
    const [a, b] = [...MODELS].sort().map((model) => own.filter((chosen) => chosen === model).length);
    wins[a === b ? "tie" : (a ?? 0) > (b ?? 0) ? "A" : "B"]++;
  }
  const left = cast.filter(({ choice }) => choice === "left").length;
  expect(verdict).toMatchObject({ items: ITEMS, votes: 3 * TOTAL - 1, wins, left_rate: left / cast.length });
  // Two of the three like the evenings, wherever they stand.
  expect(wins.B).toBe(0);
  expect(wins.A).toBeGreaterThanOrEqual(ITEMS - 1);
}
