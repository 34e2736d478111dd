import { describe, expect, it } from "vitest";
import { parseNeoxConfig } from "../model/neox-config";
import { OPEN_CALM_SMALL } from "../train/open-calm";
import { H128, H256, type StepCase, stepConfig, stepInput } from "./cases";
import { trainStepFlops } from "./flops";
import { type Contender, interleave } from "./measure";
import { paperStep } from "./roofline";

const work = (bench: StepCase) =>
  trainStepFlops(parseNeoxConfig(stepConfig(bench), bench.name), bench.texts, bench.length) / 1e9;

describe("the work of a step", () => {
  it("is that of the notes on the peers: 4.2 and 44 GFLOP", () => {
    expect(work(H128)).toBeCloseTo(4.2, 1);
    expect(Math.round(work(H256))).toBe(44);
  });

  it("is what the plan's own dispatches come to, but for attention's past and the padding to its bucket", async () => {
    const config = parseNeoxConfig(OPEN_CALM_SMALL);
    const rows = await paperStep(config, "SFT, all parameters", 8, 128);
    const total = rows.find(({ kind }) => kind === "total");
    const model = trainStepFlops(config, 8, 128) / 1e9;
    expect(total?.dispatches).toBeGreaterThan(100);
    // Its head is computed twice (no logits in memory); the bucket adds 64 tokens to 1,024.
    const head = (2 * 52_096 * 768 * 1024) / 1e9;
    const ratio = (total?.gflop ?? Number.NaN) / (model + head);
    expect(ratio).toBeGreaterThan(0.95);
    expect(ratio).toBeLessThan(1.1);
    // The kinds are all there is.
    const parts = rows.filter(({ kind }) => kind !== "total").reduce((sum, { gflop }) => sum + gflop, 0);
    expect(Math.abs(parts - (total?.gflop ?? Number.NaN))).toBeLessThan(1e-6 * parts);
    // A time is never below what either limit allows.
    const { milliseconds, gflop = 0, gigabytes = 0 } = total ?? {};
    expect(milliseconds?.integrated).toBeGreaterThanOrEqual(Math.max(gflop, (gigabytes * 1000) / 60) - 1e-6);
  });
});

describe("measuring", () => {
  it("takes turns, and enqueues short runs several times", async () => {
    const log: string[] = [];
    const contender = (name: string): Contender => ({
      name,
      enqueue: () => void log.push(name),
      finished: async () => void log.push(`${name}.`),
    });
    const times = await interleave([contender("a"), contender("b")], { rounds: 2, span: 1000, most: 3, sleep: false });
    expect(times).toHaveLength(2);
    const warm = ["a", "a.", "a", "a.", "b", "b.", "b", "b."];
    const round = ["a", "a", "a", "a.", "b", "b", "b", "b."];
    expect(log).toEqual([...warm, ...round, ...round]);
  });

  it("stops where onRound throws", async () => {
    const contender: Contender = { name: "a", enqueue: () => undefined, finished: async () => undefined };
    const onRound = (round: number) => {
      if (round === 2) throw new Error("enough");
    };
    await expect(interleave([contender], { rounds: 5, sleep: false, onRound })).rejects.toThrow("enough");
  });

  it("gives everybody the same weights and tokens", () => {
    const [one, two] = [stepInput(H128), stepInput(H128)];
    expect(one.texts).toEqual(two.texts);
    expect([...one.tensors.keys()]).toEqual([...one.shapes.keys()]);
    const name = "gpt_neox.layers.3.mlp.dense_4h_to_h.weight";
    expect(one.tensors.get(name)?.subarray(0, 99)).toEqual(two.tensors.get(name)?.subarray(0, 99));
  });
});
