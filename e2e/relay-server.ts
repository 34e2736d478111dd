/** `npm start -- --relay` as a process of its own, that a journey can kill and start again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject()));
    });
  });
}

export class RelayServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "nagi-e2e-relay-"));
  #child: ChildProcess | null = null;

  private constructor(private readonly port: number) {}

  static async start(): Promise<RelayServer> {
    const server = new RelayServer(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `http://localhost:${this.port}/`;
  }

  /** The same port and data as before. Resolves once it serves. */
  async start(): Promise<void> {
    const args = [".ci/start.mjs", "--port", String(this.port), "--relay", "--relay-data", this.#folder];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const hear = (data: Buffer): void => {
        said += String(data);
        if (said.includes(this.url)) resolve();
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.once("exit", () => reject(new Error(`npm start -- --relay ended:\n${said}`)));
    });
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}
