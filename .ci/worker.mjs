/**
 * `npm run worker`: a remote worker on this machine, with the Python environment of the references. What follows `--` goes
 * to `nagi-worker`: `npm run worker -- --port 9000`, `npm run worker -- join wss://RELAY`.
 */
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { root, say } from "./lib.mjs";
import { ensurePython } from "./prepare.mjs";

const COMMANDS = ["serve", "join"];

/** Without a command of its own: serve. @param {string[]} given */
function commandLine(given) {
  return COMMANDS.includes(given[0]) || given[0] === "--help" || given[0] === "--version" ? given : ["serve", ...given];
}

try {
  const python = await ensurePython();
  const path = [join(root, "workers", "remote"), process.env.PYTHONPATH].filter(Boolean).join(delimiter);
  const child = spawn(python, ["-m", "nagi_worker.cli", ...commandLine(process.argv.slice(2))], {
    // Paths in the arguments are relative to where the user stands.
    cwd: process.env.INIT_CWD ?? process.cwd(),
    env: { ...process.env, PYTHONPATH: path },
    stdio: "inherit",
  });
  // A Ctrl-C reaches the child by itself; what is sent to this process alone is passed on.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    say(`nagi: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("close", (code) => {
    process.exitCode = code ?? 1;
  });
} catch (error) {
  say(`nagi: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
