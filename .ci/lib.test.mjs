import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fingerprint, isInstalled, run, sourceFiles } from "./lib.mjs";

let folder = "";
const write = (name, text) => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), text);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nagi-lib-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("fingerprint", () => {
  it("follows names and contents of sources, not of tests", () => {
    write("src/a.ts", "1");
    write("src/a.test.ts", "1");
    write("src/golden/x.json", "1");
    expect(sourceFiles(["src", "absent"], folder)).toEqual(["src/a.ts"]);
    const before = fingerprint(["src"], folder);
    write("src/a.test.ts", "2");
    utimesSync(join(folder, "src/a.ts"), 1, 1);
    expect(fingerprint(["src"], folder)).toBe(before);
    write("src/a.ts", "2");
    const changed = fingerprint(["src"], folder);
    expect(changed).not.toBe(before);
    write("src/b.ts", "");
    expect(fingerprint(["src"], folder)).not.toBe(changed);
  });
});

describe("isInstalled", () => {
  it("compares the installation with the lock", () => {
    write("package-lock.json", "{}");
    expect(isInstalled(folder)).toBe(false);
    write("node_modules/.package-lock.json", "{}");
    utimesSync(join(folder, "package-lock.json"), 1000, 1000);
    expect(isInstalled(folder)).toBe(true);
    utimesSync(join(folder, "node_modules/.package-lock.json"), 500, 500);
    expect(isInstalled(folder)).toBe(false);
    write("node_modules/.nagi-lock", "of another lock");
    utimesSync(join(folder, "node_modules/.package-lock.json"), 2000, 2000);
    expect(isInstalled(folder)).toBe(false);
  });
});

describe("run", () => {
  it("passes exit codes and captured output on", async () => {
    const result = await run(process.execPath, ["-e", "console.log('out'); console.error('err'); process.exit(3)"], {
      capture: true,
    });
    expect(result.code).toBe(3);
    expect(result.output).toContain("out");
    expect(result.output).toContain("err");
  });
});
