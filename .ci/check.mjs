/**
 * `npm run check`: formatter and linter, every tsconfig, the import rules, file lengths. Warnings fail too.
 * With NAGI_REPORT=FILE it writes { passed, failed } there (`npm test` sums them up).
 */
import "./node-version.mjs";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { root, run, say, sourceFiles } from "./lib.mjs";

const MAX_LINES = 400;
const PROJECTS = ["src", "src/tsconfig.test.json", "workers", "workers/headless", "workers/relay", "e2e"];

const node = (script, ...args) =>
  run(process.execPath, [join(root, "node_modules", script), ...args], { capture: true });

function longFiles() {
  const files = sourceFiles(
    ["src", "workers", "e2e", ".ci", "vite.config.ts"],
    root,
    /(^|\/)node_modules(\/|$)/,
  ).filter((file) => /\.(ts|tsx|mjs|wgsl|css|py)$/.test(file));
  const long = files.filter((file) => readFileSync(join(root, file), "utf8").split("\n").length > MAX_LINES + 1);
  return {
    code: long.length > 0 ? 1 : 0,
    output: long.map((file) => `${file}: more than ${MAX_LINES} lines`).join("\n"),
  };
}

const checks = [
  ["biome", () => node("@biomejs/biome/bin/biome", "check", "--error-on-warnings", "--max-diagnostics=100", ".")],
  ...PROJECTS.map((project) => [`tsc ${project}`, () => node("typescript/bin/tsc", "-p", project)]),
  [
    "imports",
    () =>
      node(
        "dependency-cruiser/bin/dependency-cruise.mjs",
        "--config",
        ".dependency-cruiser.cjs",
        "src",
        "workers",
        "e2e",
        "vite.config.ts",
      ),
  ],
  ["lengths", async () => longFiles()],
];

const queue = [...checks];
let passed = 0;
let failed = 0;

async function work() {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [name, check] = next;
    const started = performance.now();
    const { code, output } = await check();
    // A warning of dependency-cruiser does not change its exit code.
    const bad = code !== 0 || /\b[1-9]\d* warnings?\b/.test(output);
    if (bad) failed++;
    else passed++;
    say(
      `${bad ? "✗" : "✓"} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)${bad ? `\n${output}` : ""}`,
    );
  }
}

await Promise.all(Array.from({ length: Math.min(2, cpus().length) }, work));
say(`check: ${passed} passed, ${failed} failed`);
if (process.env.NAGI_REPORT) writeFileSync(process.env.NAGI_REPORT, JSON.stringify({ passed, failed }));
process.exit(failed === 0 ? 0 : 1);
