/** Lets a lost device end every wait for it. */
import type { NagiError } from "../../../src/shared/errors";
import type { Gpu } from "../gpu/gpu";

/**
 * Awaits work of a device. While the device lives, results and errors pass through; once it is lost, every pending and
 * later wait rejects with gpu.lost, also where the lost device never answers. (A plain Promise.race with `gpu.lost`
 * would keep one reaction a step alive for the whole run.)
 */
export class DeviceGuard {
  private lost: NagiError | null = null;
  private readonly waiting = new Set<(error: NagiError) => void>();

  constructor(gpu: Pick<Gpu, "lost">) {
    void gpu.lost.then((error) => {
      this.lost = error;
      for (const reject of this.waiting) reject(error);
      this.waiting.clear();
    });
  }

  wait<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.waiting.add(reject);
      work.then(
        (value) => {
          this.waiting.delete(reject);
          if (this.lost) reject(this.lost);
          else resolve(value);
        },
        (error: unknown) => {
          this.waiting.delete(reject);
          reject(this.lost ?? error);
        },
      );
      if (this.lost) reject(this.lost);
    });
  }
}
