/**
 * `npm test`: installs what is missing, runs every part and sums the runners' own counts up in the last line,
 * `N passed, N failed`. `-- --only unit,e2e` runs some parts only.
 */
import "./node-version.mjs";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, root, run, say } from "./lib.mjs";
import { ensurePython, findChromium, prepareSystem } from "./prepare.mjs";
import { playwrightCounts, pytestCounts, settle, total, vitestCounts } from "./reports.mjs";

/** What runs on SwiftShader as well: every op, and whole models against PyTorch. lavapipe runs all. */
const SWIFTSHADER_FILES = ["workers/engine/ops", "verify"];

const reports = mkdtempSync(join(tmpdir(), "nagi-test-"));
const reportPath = (name) => join(reports, name);
const bin = (script) => join(root, "node_modules", script);

const readReport = (path, parse) => (existsSync(path) ? parse(readFileSync(path, "utf8")) : { passed: 0, failed: 0 });
const json = (parse) => (text) => parse(JSON.parse(text));

function vitest(name, project, files = [], env = {}) {
  return async () => {
    const report = reportPath(`${name}.json`);
    const args = ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const { code } = await run(process.execPath, [bin("vitest/vitest.mjs"), ...args, ...files], { env });
    return settle(readReport(report, json(vitestCounts)), code);
  };
}

async function check() {
  const report = reportPath("check.json");
  const { code } = await run(process.execPath, [join(root, ".ci", "check.mjs")], { env: { NAGI_REPORT: report } });
  return settle(readReport(report, JSON.parse), code);
}

/** Each build counts as one test. */
async function build() {
  const counts = { passed: 0, failed: 0 };
  for (const name of ["app", "headless", "relay"]) {
    try {
      await ensureBuilt(name);
      counts.passed++;
    } catch (error) {
      say(error.message);
      counts.failed++;
    }
  }
  return counts;
}

async function python() {
  const report = reportPath("python.xml");
  // Two at a time: most of these tests wait for processes that import PyTorch. A file stays together, with its fixtures.
  const parallel = ["-n", "2", "--dist", "loadfile"];
  const args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", ...parallel, `--junitxml=${report}`];
  const { code } = await run(await ensurePython(), [...args, "workers/remote/tests"]);
  return settle(readReport(report, pytestCounts), code);
}

async function e2e() {
  const report = reportPath("e2e.json");
  const args = ["test", "--config", join("e2e", "playwright.config.ts"), "--reporter=list,json"];
  const { code } = await run(process.execPath, [bin("@playwright/test/cli.js"), ...args], {
    env: {
      PLAYWRIGHT_JSON_OUTPUT_NAME: report,
      NAGI_CHROMIUM: findChromium() ?? "",
      NAGI_TEST_PYTHON: await ensurePython(),
    },
  });
  return settle(readReport(report, json(playwrightCounts)), code);
}

const PARTS = {
  check,
  unit: vitest("unit", "unit"),
  build,
  "gpu-lavapipe": vitest("gpu-lavapipe", "gpu", [], { NAGI_ADAPTER: "lavapipe" }),
  "gpu-swiftshader": vitest("gpu-swiftshader", "gpu", SWIFTSHADER_FILES, { NAGI_ADAPTER: "swiftshader" }),
  python,
  e2e,
};

function chosenParts() {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  if (values.only === undefined) return Object.keys(PARTS);
  const names = values.only.split(",");
  for (const name of names)
    if (!(name in PARTS)) throw new Error(`--only ${name}: the parts are ${Object.keys(PARTS).join(", ")}`);
  return names;
}

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(0);

async function main() {
  const names = chosenParts();
  const started = performance.now();
  await prepareSystem();
  await ensureInstalled();
  if (names.includes("python") || names.includes("e2e")) await ensurePython();
  say(`nagi: everything is installed (${seconds(started)} s)`);
  const results = [];
  for (const name of names) {
    say(`\n── ${name}`);
    const begun = performance.now();
    let counts;
    try {
      counts = await PARTS[name]();
    } catch (error) {
      say(error.stack ?? String(error));
      counts = { passed: 0, failed: 1 };
    }
    results.push({ name, ...counts, time: seconds(begun) });
  }
  console.log("");
  for (const { name, passed, failed, time } of results)
    console.log(`${failed === 0 ? "✓" : "✗"} ${name.padEnd(16)} ${passed} passed, ${failed} failed  (${time} s)`);
  const { passed, failed } = total(results);
  console.log(`${seconds(started)} s in all`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

main()
  .catch((error) => {
    say(`nagi: ${error.message}`);
    console.log("0 passed, 1 failed");
    return 1;
  })
  .then((code) => {
    rmSync(reports, { recursive: true, force: true });
    process.exitCode = code;
  });
