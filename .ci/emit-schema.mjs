/**
 * `npm run schema`: writes the wire between studio and remote worker as JSON Schema, and its hash for the studio. Both
 * sides compare hashes when they meet; a unit test fails where these files are stale.
 */
import "./node-version.mjs";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, say } from "./lib.mjs";

const { runnerImport } = await import("vite");
const { module } = await runnerImport(join(root, "src/shared/protocol/remote-schema.ts"), { configFile: false, root });
const text = module.remoteSchemaText();
const hash = createHash("sha256").update(text).digest("hex");
writeFileSync(join(root, "workers/remote/protocol/schema.json"), text);
writeFileSync(
  join(root, "src/shared/protocol/remote-hash.ts"),
  `/** SHA-256 of workers/remote/protocol/schema.json. Written by \`npm run schema\`. */\nexport const REMOTE_SCHEMA_HASH = "${hash}";\n`,
);
say(`schema.json: ${hash}`);
