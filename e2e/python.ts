/** The references' Python, as `npm test` prepares it; NAGI_TEST_PYTHON names another one. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

let found: Promise<string> | undefined;

async function find(): Promise<string> {
  if (process.env.NAGI_TEST_PYTHON) return process.env.NAGI_TEST_PYTHON;
  const script = 'import("./.ci/prepare.mjs").then((m) => m.ensurePython()).then((python) => console.log(python))';
  return (await run(process.execPath, ["-e", script], { cwd: root })).stdout.trim();
}

/** Runs a module of nagi_worker and gives what it prints. */
export async function runPython(module: string, ...args: string[]): Promise<string> {
  found ??= find();
  const { stdout } = await run(await found, ["-m", module, ...args], { cwd: `${root}workers/remote` });
  return stdout;
}
