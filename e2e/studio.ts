/** What the journeys share: the message catalogue, a page that must stay free of errors, the accessibility check. */
import { readFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Locator, type Page } from "@playwright/test";

export { expect } from "@playwright/test";

export type Language = "ja" | "en";
interface Catalogue {
  readonly [key: string]: string | Catalogue;
}

const catalogues: Record<Language, Catalogue> = { ja: readCatalogue("ja"), en: readCatalogue("en") };

function readCatalogue(language: Language): Catalogue {
  return JSON.parse(readFileSync(new URL(`../src/i18n/${language}.json`, import.meta.url), "utf8"));
}

/** The text of a catalogue entry, so that a journey presses what a person reads. Throws on an unknown key. */
export function t(
  key: string,
  values: Readonly<Record<string, string | number>> = {},
  language: Language = "ja",
): string {
  let entry: string | Catalogue | undefined = catalogues[language];
  for (const part of key.split(".")) entry = typeof entry === "object" ? entry[part] : undefined;
  if (typeof entry !== "string") throw new Error(`no catalogue entry ${key}`);
  return entry.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** A catalogue entry as a pattern: its placeholders stand for anything. */
export function pattern(key: string): RegExp {
  const parts = t(key, {}).length >= 0 ? raw(key).split(/\{\{\w+\}\}/) : [];
  return new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*"));
}

function raw(key: string): string {
  let entry: string | Catalogue | undefined = catalogues.ja;
  for (const part of key.split(".")) entry = typeof entry === "object" ? entry[part] : undefined;
  return typeof entry === "string" ? entry : "";
}

/** Collects what a page must never say: console errors (CSP violations are among them) and uncaught exceptions. */
export function watch(page: Page, complaints: string[]): void {
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
}

/** `complaints` are empty at the end of every test; pages of the context beyond the first are watched too. */
export const test = base.extend<{ complaints: string[] }>({
  complaints: [
    async ({ context }, use) => {
      const complaints: string[] = [];
      context.on("page", (page) => watch(page, complaints));
      await use(complaints);
      expect(complaints, "errors in the console").toEqual([]);
    },
    { auto: true },
  ],
});

/** Opens a screen and waits until it stands. Screens are named by their hash routes. */
export async function open(page: Page, route: string): Promise<void> {
  await page.goto(`./#${route}`);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
}

/** The WCAG 2.2 AA rules of axe on the screen as it stands, in light and in dark. */
export async function expectAccessible(page: Page, screen: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", colorScheme);
    const { violations } = await new AxeBuilder({ page })
      .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
      .analyze();
    const found = violations.map(({ id, help, nodes }) => ({
      id,
      help,
      where: nodes.map((node) => node.target.join(" ")).slice(0, 5),
    }));
    expect(found, `axe on ${screen}, ${colorScheme}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/** Replaces what a field says. */
export async function fill(field: Locator, value: string | number): Promise<void> {
  await field.fill(String(value));
  await field.blur();
}
