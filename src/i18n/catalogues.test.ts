import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "../shared/errors";
import en from "./en.json";
import ja from "./ja.json";

type Tree = { readonly [key: string]: string | Tree };

function flatten(tree: Tree, prefix = ""): Map<string, string> {
  const result = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") result.set(prefix + key, value);
    else for (const [path, text] of flatten(value, `${prefix}${key}.`)) result.set(path, text);
  }
  return result;
}

const JA = flatten(ja);
const EN = flatten(en);
const SRC = fileURLToPath(new URL("..", import.meta.url));
const SOURCES = ["ui", "app"].flatMap((folder) =>
  readdirSync(`${SRC}/${folder}`, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$/.test(path))
    .map((path) => {
      const name = `${folder}/${path}`;
      return ts.createSourceFile(
        name,
        readFileSync(`${SRC}/${name}`, "utf8"),
        ts.ScriptTarget.Latest,
        true,
        path.endsWith(".tsx") ? ts.ScriptKind.TSX : ts.ScriptKind.TS,
      );
    }),
);

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  node.forEachChild((child) => visit(child, see));
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1] ?? "").sort();
}

describe("catalogues", () => {
  it("have the same keys, none of them empty", () => {
    expect([...EN.keys()].sort()).toEqual([...JA.keys()].sort());
    for (const [key, text] of [...JA, ...EN]) expect(text.trim(), key).not.toBe("");
  });

  it("fill the same placeholders in both languages", () => {
    for (const [key, text] of JA) expect(placeholders(EN.get(key) ?? ""), key).toEqual(placeholders(text));
  });

  it.each([...ERROR_CODES])("%s has a title, the problem and a way out in both", (code) => {
    for (const part of ["title", "problem", "wayOut"])
      for (const catalogue of [JA, EN]) expect(catalogue.get(`errors.${code}.${part}`)?.length ?? 0).toBeGreaterThan(5);
  });

  it("have no error text without a code", () => {
    const codes = new Set<string>(ERROR_CODES);
    for (const key of JA.keys()) {
      const code = /^errors\.(.+)\.(title|problem|wayOut)$/.exec(key)?.[1];
      if (key.startsWith("errors.") && key !== "errors.way_out") expect(codes.has(code ?? ""), key).toBe(true);
    }
  });

  it("hold no key that no screen uses", () => {
    const literals = new Set<string>();
    const patterns: RegExp[] = [];
    for (const source of SOURCES)
      visit(source, (node) => {
        if (ts.isStringLiteralLike(node)) literals.add(node.text);
        if (!ts.isTemplateExpression(node)) return;
        const parts = [node.head.text, ...node.templateSpans.map((span) => span.literal.text)];
        // A key of the catalogue begins with its section and a dot.
        if (!/^[a-z_]+\./.test(parts[0] ?? "")) return;
        patterns.push(new RegExp(`^${parts.map((part) => part.replaceAll(".", "\\.")).join("[\\w.-]+")}$`));
      });
    const unused = [...JA.keys()].filter((key) => !literals.has(key) && !patterns.some((pattern) => pattern.test(key)));
    expect(unused).toEqual([]);
  });
});

describe("screens", () => {
  /** Names of languages in their own language, names of licences and of products: the same in every catalogue. */
  const SAME_EVERYWHERE = new Set(["日本語", "凪", "GFLOP/s"]);

  it("write no text of their own", () => {
    expect(SOURCES.length).toBeGreaterThan(20);
    const found: string[] = [];
    for (const source of SOURCES)
      visit(source, (node) => {
        const text = ts.isJsxText(node) || ts.isStringLiteralLike(node) ? node.text.trim() : "";
        const japanese = /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(text);
        const words = ts.isJsxText(node) && /\p{L}{2,}/u.test(text);
        const label =
          ts.isStringLiteral(node) &&
          ts.isJsxAttribute(node.parent) &&
          /^(label|title|description|placeholder|alt|aria-label|help|lead)$/.test(node.parent.name.getText()) &&
          /\p{L}/u.test(text);
        if ((japanese || words || label) && !SAME_EVERYWHERE.has(text)) found.push(`${source.fileName}: ${text}`);
      });
    expect(found).toEqual([]);
  });
});
