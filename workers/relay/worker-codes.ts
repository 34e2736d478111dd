/** Pairing codes of workers, the same again for the same key, also after a restart of the relay. */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { drawCode, hashSecret } from "./secrets";

/** Short, since it only finds the worker: what lets a studio in is the token behind it, which the worker checks. */
export const WORKER_CODE_LENGTH = 4;
/** Workers that are remembered; the one that was seen longest ago goes first. */
const REMEMBERED = 10_000;

const file = z.strictObject({
  workers: z.array(z.strictObject({ key_sha256: z.string().regex(/^[0-9a-f]{64}$/), code: z.string().min(1) })),
});

export class WorkerCodes {
  /** By the hash of a worker's key, the one seen last at the end. */
  readonly #codes: Map<string, string>;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    known: readonly (readonly [string, string])[],
  ) {
    this.#codes = new Map(known);
  }

  /** Throws where the file is there and cannot be read. */
  static async open(path: string): Promise<WorkerCodes> {
    try {
      const { workers } = file.parse(JSON.parse(await readFile(path, "utf8")));
      return new WorkerCodes(
        path,
        workers.map(({ key_sha256, code }) => [key_sha256, code]),
      );
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return new WorkerCodes(path, []);
      throw error;
    }
  }

  /** The code of the worker with this key, on the disk before it is told. */
  async codeFor(key: string): Promise<string> {
    const hash = hashSecret(key);
    const taken = new Set(this.#codes.values());
    let code = this.#codes.get(hash) ?? drawCode(WORKER_CODE_LENGTH);
    if (!this.#codes.has(hash)) while (taken.has(code)) code = drawCode(WORKER_CODE_LENGTH);
    this.#codes.delete(hash);
    this.#codes.set(hash, code);
    for (const oldest of this.#codes.keys()) {
      if (this.#codes.size <= REMEMBERED) break;
      this.#codes.delete(oldest);
    }
    const saved = this.#saving.then(() => this.#save());
    this.#saving = saved.catch(() => undefined);
    await saved;
    return code;
  }

  async #save(): Promise<void> {
    const workers = [...this.#codes].map(([key_sha256, code]) => ({ key_sha256, code }));
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    const part = await open(`${this.path}.part`, "w", 0o600);
    try {
      await part.writeFile(JSON.stringify({ workers }));
      await part.sync();
    } finally {
      await part.close();
    }
    await rename(`${this.path}.part`, this.path);
  }
}
