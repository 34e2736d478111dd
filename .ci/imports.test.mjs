/** The import rules bite: one forbidden import of each kind in a small tree of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruise } from "dependency-cruiser";
import { afterAll, beforeAll, expect, it } from "vitest";

const rules = createRequire(import.meta.url)("../.dependency-cruiser.cjs");

/** file -> its import, and the rule that must refuse it (null: allowed). */
const CASES = [
  ["src/shared/a.ts", "../ui/leaf", "shared-is-a-leaf"],
  ["src/ui/client.ts", "../clients/leaf", "ui"],
  ["src/ui/store.ts", "../stores/leaf", null],
  ["src/stores/local.ts", "../clients/leaf", "stores-know-client-interfaces"],
  ["src/stores/typed.ts", "../clients/backend", null],
  ["src/persist/a.ts", "../clients/leaf", "persist"],
  ["src/app/a.ts", "../../workers/train/leaf", "src-never-imports-workers"],
  ["workers/engine/gpu/a.ts", "../ops/leaf", "gpu-is-the-lowest-layer"],
  ["workers/engine/kernels/a.ts", "../ops/leaf", "kernels"],
  ["workers/engine/ops/a.ts", "../plan/leaf", "ops"],
  ["workers/engine/plan/a.ts", "../model/leaf", "plan"],
  ["workers/engine/data/a.ts", "../train/leaf", "model-optim-data-io"],
  ["workers/engine/train/a.ts", "../../headless/leaf", "engine-knows-no-runtime"],
  ["workers/engine/train/b.ts", "../model/leaf", null],
  ["workers/engine/io/a.ts", "../../../src/stores/leaf", "engine-knows-no-runtime"],
  ["workers/engine/io/b.ts", "../../../src/shared/leaf", null],
  ["workers/train/a.ts", "../headless/leaf", "train-worker"],
  ["workers/headless/a.ts", "../train/leaf", "headless"],
  ["workers/relay/a.ts", "../engine/train/leaf", "relay-knows-no-engine"],
  ["workers/relay/b.ts", "../../src/shared/leaf", null],
  ["workers/relay/node.ts", "node:fs", null],
  ["workers/train/b.ts", "../engine/gpu/dawn", "dawn-is-for-node"],
  ["workers/engine/data/node.ts", "node:fs", "no-node-in-the-browser"],
];

const LEAVES = [
  ...["ui", "clients", "stores", "shared"].map((layer) => `src/${layer}/leaf.ts`),
  "src/clients/backend.ts",
  ...["train", "headless"].map((layer) => `workers/${layer}/leaf.ts`),
  ...["ops", "plan", "model", "train"].map((layer) => `workers/engine/${layer}/leaf.ts`),
  "workers/engine/gpu/dawn.ts",
];

let folder = "";
let violations = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "nagi-imports-"));
  const write = (file, text) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  write("package.json", "{}");
  for (const file of LEAVES) write(file, "export type Leaf = number;\n");
  // Types only: the rules must see them too.
  for (const [file, target] of CASES) write(file, `import type { Leaf } from "${target}";\nexport type A = Leaf;\n`);
  const { options, ...ruleSet } = rules;
  const { output } = await cruise(["src", "workers"], {
    ...options,
    cache: false,
    baseDir: folder,
    validate: true,
    ruleSet,
  });
  violations = output.summary.violations;
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(CASES)("%s → %s: %s", (file, _target, rule) => {
  const broken = violations.filter(({ from, rule: { name } }) => from === file && name !== "no-orphans");
  if (rule === null) expect(broken).toEqual([]);
  else expect(broken.map((violation) => violation.rule.name)).toContain(rule);
});
