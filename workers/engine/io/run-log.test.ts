import { describe, expect, it } from "vitest";
import { type RunEventBody, runEvent } from "../../../src/shared/protocol/events";
import { MemoryDirectory } from "./memory-directory";
import { Folder } from "./opfs";
import { parseLog, RunLog } from "./run-log";

const log = (step: number): RunEventBody => ({ type: "log", step, metrics: { loss: 1 / step, grad_norm: null } });

function disk(free: number | null = null) {
  const directory = new MemoryDirectory("r", { free });
  const folder = new Folder(directory, "r");
  const open = async () => RunLog.open(await folder.append("metrics.jsonl"), "r", () => 42);
  return { directory, folder, open, file: () => directory.file("metrics.jsonl") };
}

/** A log of `count` events, closed. */
async function written(count: number) {
  const { open, ...rest } = disk();
  const run = await open();
  for (let step = 1; step <= count; step++) run.append(log(step));
  run.close();
  return { open, ...rest };
}

describe("RunLog", () => {
  it("numbers events without a gap over several openings", async () => {
    const { open, folder } = await written(2);
    const again = await open();
    expect(again.stored.map((event) => event.seq)).toEqual([0, 1]);
    expect(again.append(log(3))).toEqual({ ...log(3), run_id: "r", seq: 2, time: 42 });
    again.close();
    expect(parseLog(await folder.read("metrics.jsonl")).events.map((event) => event.seq)).toEqual([0, 1, 2]);
  });

  it("drops a torn last line at every possible place, and goes on after the whole ones", async () => {
    const { file, open, folder } = await written(3);
    const whole = file().bytes;
    const second = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
    for (let cut = second; cut < whole.length; cut++) {
      file().bytes = whole.slice(0, cut);
      const run = await open();
      expect(run.stored.length).toBe(2);
      run.append(log(9));
      run.close();
      const { events, validBytes } = parseLog(await folder.read("metrics.jsonl"));
      expect(events.map((event) => event.type === "log" && event.step)).toEqual([1, 2, 9]);
      expect(validBytes).toBe(file().bytes.length);
    }
  });

  it("stops at a damaged line or a gap in the middle", async () => {
    const { file } = await written(4);
    const lines = new TextDecoder().decode(file().bytes).split("\n");
    const parse = (kept: string[]): number => parseLog(new TextEncoder().encode(kept.join("\n"))).events.length;
    expect(parse(lines)).toBe(4);
    expect(parse(lines.toSpliced(1, 1))).toBe(1);
    expect(parse(lines.toSpliced(2, 1, "\0\0\0"))).toBe(2);
    expect(parse(lines.toSpliced(0, 1, '{"type":"log"}'))).toBe(0);
  });

  it("is as strict about curve points as the schema", () => {
    const good = { type: "log", step: 1, metrics: { loss: 0.5, grad_norm: null }, run_id: "r", seq: 0, time: 1.5 };
    const variants: unknown[] = [
      good,
      { ...good, type: "eval" },
      { ...good, metrics: {} },
      { ...good, type: "other" },
      { ...good, step: -1 },
      { ...good, step: 1.5 },
      { ...good, step: "1" },
      { ...good, seq: -1 },
      { ...good, run_id: "" },
      { ...good, time: null },
      { ...good, metrics: null },
      { ...good, metrics: [] },
      { ...good, metrics: { loss: "0.5" } },
      { ...good, extra: 1 },
      { type: "log" },
      [good],
      null,
      7,
    ];
    const accepted = variants.map(
      (value) => parseLog(new TextEncoder().encode(`${JSON.stringify(value)}\n`)).events.length === 1,
    );
    expect(accepted).toEqual(variants.map((value) => runEvent.safeParse(value).success));
    expect(accepted.filter(Boolean).length).toBe(3);
  });

  it("keeps events in memory while the disk is full, and stores them in order afterwards", async () => {
    const { open, directory, folder } = disk(250);
    const run = await open();
    for (let step = 1; step <= 5; step++) run.append(log(step));
    expect(run.error?.code).toBe("storage.quota");
    expect(parseLog(await folder.read("metrics.jsonl")).events.length).toBeLessThan(5);
    directory.disk.free = 10_000;
    run.append(log(6));
    expect(run.error).toBeNull();
    run.close();
    expect(parseLog(await folder.read("metrics.jsonl")).events.map((event) => event.seq)).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
