/**
 * A stage's folder on disk: metrics.jsonl, checkpoint/, what it made (model/, adapter/ or generations/) and, once it is
 * finished, stage.json: what was asked, what came out.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { NagiError } from "../../src/shared/errors";
import { type ArtefactKind, type ArtefactRecord, artefactRecord } from "../../src/shared/protocol/artefact";
import { type RunEvent, runEvent } from "../../src/shared/protocol/events";
import { writeFiles, writeWhole } from "./folder";
import { FolderSource, isMissing, reasonOf } from "./sources";

const RECORD = "stage.json";

/** Where what was made lies, by its kind. */
const OUTPUTS: Readonly<Record<ArtefactKind, string>> = {
  adapter: "adapter",
  model: "model",
  reward_model: "model",
  generations: "generations",
  preferences: "preferences",
};

const metrics = z.record(z.string(), z.number().nullable());

export const stageResult = z.strictObject({
  /** Of settings, inputs and seed: another key is another stage. */
  key: z.string(),
  report: z.strictObject({
    stage: z.string(),
    id: z.string(),
    metrics,
    seconds: z.number(),
    tokensPerSecond: z.number(),
  }),
  artefact: artefactRecord,
});
export type StageResult = z.infer<typeof stageResult>;

export class StageFolder {
  constructor(readonly path: string) {}

  /** Folder of the files of a kind. */
  output(kind: ArtefactKind): string {
    return join(this.path, OUTPUTS[kind]);
  }

  files(record: ArtefactRecord): FolderSource {
    return new FolderSource(this.output(record.kind), record.name);
  }

  /** Replaces what the stage made. @throws storage.* */
  saveOutput(kind: ArtefactKind, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    return writeFiles(this.output(kind), files);
  }

  /** Said last: from now on the stage counts as finished. */
  async saveResult(result: StageResult): Promise<void> {
    await writeWhole(join(this.path, RECORD), `${JSON.stringify(result, null, 2)}\n`);
  }

  /** null where the stage has not finished, or was written by another version. */
  async result(): Promise<StageResult | null> {
    try {
      const parsed = stageResult.safeParse(JSON.parse(await readFile(join(this.path, RECORD), "utf8")));
      return parsed.success ? parsed.data : null;
    } catch (error) {
      if (isMissing(error) || error instanceof SyntaxError) return null;
      const path = join(this.path, RECORD);
      throw new NagiError("storage.unavailable", `${path} cannot be read: ${reasonOf(error)}`, {
        message: reasonOf(error),
      });
    }
  }

  /** All events so far; a line that was cut off by a crash is left out. */
  async events(): Promise<RunEvent[]> {
    const text = await readFile(join(this.path, "metrics.jsonl"), "utf8");
    return text.split("\n").flatMap((line) => {
      try {
        const parsed = runEvent.safeParse(JSON.parse(line));
        return parsed.success ? [parsed.data] : [];
      } catch {
        return [];
      }
    });
  }

  /** From now on the stage counts as unfinished. */
  async forget(): Promise<void> {
    await rm(join(this.path, RECORD), { force: true });
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
