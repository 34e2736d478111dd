/**
 * `npm run test:large`: open-calm-small at its real size within WebGPU's default limits, on lavapipe. Takes minutes and
 * about 5 GB of memory, so it is no part of `npm test`; its log belongs into docs/large-test.md.
 */
import "./node-version.mjs";
import { join } from "node:path";
import { ensureInstalled, root, run } from "./lib.mjs";
import { prepareSystem } from "./prepare.mjs";

await prepareSystem();
await ensureInstalled();
const { code } = await run(
  process.execPath,
  [join(root, "node_modules/vitest/vitest.mjs"), "run", "--project", "large", ...process.argv.slice(2)],
  { env: { NAGI_ADAPTER: "lavapipe" } },
);
process.exit(code);
