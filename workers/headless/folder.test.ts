import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointFolder, EventLog, writeFiles } from "./folder";

const fresh = () => mkdtempSync(join(tmpdir(), "nagi-out-"));
const lines = (out: string) =>
  readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
const log = (step: number) => ({ type: "log", step, metrics: { loss: 0.5 } }) as const;

describe("EventLog", () => {
  it("numbers events without a gap, also after a crash cut the last line", () => {
    const out = fresh();
    const first = EventLog.open(out, "run-a", false);
    first.write({ type: "state", state: "running", error: null });
    first.write(log(1));
    first.close();
    appendFileSync(join(out, "metrics.jsonl"), '{"type":"log","st');
    const second = EventLog.open(out, "run-b", true);
    second.write(log(2));
    second.close();
    expect(lines(out).map(({ seq, run_id }) => [seq, run_id])).toEqual([
      [0, "run-a"],
      [1, "run-a"],
      [2, "run-a"],
    ]);
  });

  it("starts anew unless told to append", () => {
    const out = fresh();
    for (const id of ["run-a", "run-b"]) {
      const events = EventLog.open(out, id, false);
      events.write(log(1));
      events.close();
    }
    expect(lines(out)).toHaveLength(1);
    expect(lines(out)[0].run_id).toBe("run-b");
  });

  it("says where it cannot write", () => {
    const out = fresh();
    writeFileSync(join(out, "file"), "");
    expect(() => EventLog.open(join(out, "file", "deeper"), "run", false)).toThrow(/deeper/);
  });
});

describe("CheckpointFolder", () => {
  it("keeps the newest checkpoint and no partial file", async () => {
    const out = fresh();
    const storage = new CheckpointFolder(out);
    expect(await storage.loadCheckpoint()).toBeNull();
    await storage.saveCheckpoint(1, Uint8Array.of(1, 2, 3));
    await storage.saveCheckpoint(2, Uint8Array.of(4, 5));
    expect([...((await new CheckpointFolder(out).loadCheckpoint()) ?? [])]).toEqual([4, 5]);
    expect(readdirSync(join(out, "checkpoint"))).toEqual(["checkpoint.safetensors"]);
  });
});

describe("writeFiles", () => {
  it("replaces what was in the folder", async () => {
    const out = fresh();
    await writeFiles(join(out, "model"), new Map([["old.bin", Uint8Array.of(1)]]));
    await writeFiles(join(out, "model"), new Map([["sub/new.bin", Uint8Array.of(2)]]));
    expect(existsSync(join(out, "model", "old.bin"))).toBe(false);
    expect([...readFileSync(join(out, "model", "sub", "new.bin"))]).toEqual([2]);
  });
});
