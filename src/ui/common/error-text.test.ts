import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import ja from "../../i18n/ja.json";
import { errorValues, STAND_INS } from "./error-text";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Details of every `new NagiError("code", message, { ... })` of the product whose keys are written out. */
function throwSites(): { code: string; where: string; keys: Set<string> }[] {
  const sites: { code: string; where: string; keys: Set<string> }[] = [];
  for (const folder of ["workers/engine", "workers/train", "src"]) {
    for (const path of readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: "utf8" })) {
      if (!/\.tsx?$/.test(path) || /\.test\.tsx?$/.test(path)) continue;
      const where = `${folder}/${path}`;
      const source = ts.createSourceFile(where, readFileSync(`${ROOT}/${where}`, "utf8"), ts.ScriptTarget.Latest, true);
      const visit = (node: ts.Node): void => {
        const [code, , details] =
          ts.isNewExpression(node) && node.expression.getText() === "NagiError" ? (node.arguments ?? []) : [];
        if (
          code !== undefined &&
          ts.isStringLiteral(code) &&
          details !== undefined &&
          ts.isObjectLiteralExpression(details)
        ) {
          const names = details.properties.map((property) => property.name?.getText());
          const keys = new Set(names.filter((name) => name !== undefined));
          // A spread may bring any key: such a site proves nothing.
          if (keys.size === details.properties.length) sites.push({ code: code.text, where, keys });
        }
        node.forEachChild(visit);
      };
      visit(source);
    }
  }
  return sites;
}

function problemText(code: string): string {
  let entry: unknown = ja.errors;
  for (const part of [...code.split("."), "problem"]) entry = (entry as Record<string, unknown>)[part];
  return String(entry);
}

describe("errorValues", () => {
  it("writes sizes with their unit and says what is not known", () => {
    const value = errorValues({ needed: 1_048_576, available: null, file: "a.csv" }, "unknown");
    expect(value("needed")).toBe("1.0 MiB");
    expect(value("available")).toBe("unknown");
    expect(value("file")).toBe("a.csv");
    expect(value("line")).toBe("unknown");
  });
  it("uses a stand-in where a code has one", () => {
    expect(errorValues({ actual: "[2,3]" }, "?")("found")).toBe("[2,3]");
    expect(errorValues({ found: "[4]", actual: "[2,3]" }, "?")("found")).toBe("[4]");
  });
});

describe("catalogue texts", () => {
  const sites = throwSites();
  it("find the places where errors are thrown", () => {
    expect(sites.length).toBeGreaterThan(30);
  });
  it("name only what the error brings along", () => {
    const lacking: string[] = [];
    for (const { code, where, keys } of sites)
      for (const [, name = ""] of problemText(code).matchAll(/\{\{(\w+)\}\}/g))
        if (![name, ...(STAND_INS[name] ?? [])].some((candidate) => keys.has(candidate)))
          lacking.push(`${code} in ${where} has no ${name}`);
    expect(lacking).toEqual([]);
  });
});
