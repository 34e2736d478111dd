/** `npm run worker` as a process of its own, with a data folder that goes with it. NAGI_TEST_PYTHON names another Python. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
export const remote = join(root, "workers", "remote");

/** Program and arguments of nagi-worker; PYTHONPATH must name its folder. */
export function command(args: readonly string[]): [string, string[]] {
  const python = process.env.NAGI_TEST_PYTHON;
  if (python) return [python, ["-m", "nagi_worker.cli", ...args]];
  return [process.execPath, [join(root, ".ci", "worker.mjs"), ...args]];
}

export class WorkerProcess {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly url: string,
    readonly token: string,
  ) {}

  /** Resolves once it has said where it listens. */
  static async start(): Promise<WorkerProcess> {
    const folder = mkdtempSync(join(tmpdir(), "nagi-e2e-worker-"));
    const [program, args] = command(["serve", "--port", "0", "--data", folder]);
    const env = { ...process.env, PYTHONPATH: remote };
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    return new Promise((resolve, reject) => {
      const hear = (data: Buffer): void => {
        said += data.toString("utf8");
        const url = /wss?:\/\/\S+/.exec(said)?.[0];
        const token = /token[^:]*:\s*(\S+)/.exec(said)?.[1];
        if (url !== undefined && token !== undefined && said.includes(`${token}\n`))
          resolve(new WorkerProcess(child, folder, url, token));
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.once("exit", () => reject(new Error(`the worker ended:\n${said}`)));
      child.once("error", reject);
    });
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    if (this.child.exitCode === null) {
      this.child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
