/**
 * A file of JSON lines that is only ever appended to. A line counts once `append` has resolved: then it is on the disk.
 * A process that dies in between leaves at most a torn last line, which the next start cuts off.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

interface Waiting {
  readonly text: string;
  resolve(): void;
  reject(error: unknown): void;
}

export class Journal {
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #failure: unknown = null;

  private constructor(
    private readonly file: FileHandle,
    private size: number,
  ) {}

  /**
   * Opens or creates the file and gives the lines that are in it; what follows the last line break is cut off. Throws
   * what the file system throws, SyntaxError where a whole line is not JSON.
   */
  static async open(path: string): Promise<{ journal: Journal; lines: unknown[] }> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const bytes = await file.readFile();
      const size = bytes.lastIndexOf(0x0a) + 1;
      const lines = bytes
        .toString("utf8", 0, size)
        .split("\n")
        .filter((line) => line !== "")
        .map((line): unknown => JSON.parse(line));
      if (size < bytes.length) {
        await file.truncate(size);
        await file.datasync();
      }
      return { journal: new Journal(file, size), lines };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.size;
  }

  /** Resolves when the line is on the disk; several that come at once share one flush. Rejects for good after a failure. */
  append(line: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiting.push({ text: `${JSON.stringify(line)}\n`, resolve, reject });
      this.#writing ??= this.#flush().finally(() => {
        this.#writing = null;
      });
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#failure !== null) throw this.#failure;
        const bytes = Buffer.from(batch.map(({ text }) => text).join(""));
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done, this.size + done);
          done += bytesWritten;
        }
        await this.file.datasync();
        this.size += bytes.length;
        for (const { resolve } of batch) resolve();
      } catch (error) {
        // Whether a part of it is in the file nobody knows: the next start reads what there is.
        this.#failure = error;
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.file.close();
  }
}
