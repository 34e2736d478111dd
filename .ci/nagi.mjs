/**
 * `npm run --silent nagi -- COMMAND …`: the studio's engine on the command line. Installs and builds what is missing with
 * all talk on stderr, then hands over in this process: stdout, exit code and signals are the command's own.
 */
import "./node-version.mjs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, root, say } from "./lib.mjs";

try {
  await ensureInstalled();
  // The benchmark carries the libraries that it compares with: a bundle of its own keeps the others light.
  const bundle = join(await ensureBuilt(process.argv[2] === "bench" ? "bench" : "headless"), "main.js");
  process.setSourceMapsEnabled(true);
  process.env.NAGI_ROOT = root;
  // npm runs scripts in the package's folder; the arguments' paths are relative to where the user stands.
  const { INIT_CWD, npm_lifecycle_event } = process.env;
  if (npm_lifecycle_event === "nagi" && INIT_CWD) process.chdir(INIT_CWD);
  process.argv = [process.execPath, bundle, ...process.argv.slice(2)];
  await import(pathToFileURL(bundle).href);
} catch (error) {
  say(`nagi: ${error instanceof Error ? error.message : error}`);
  process.exit(2);
}
