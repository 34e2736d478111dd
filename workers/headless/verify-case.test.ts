import { describe, expect, it } from "vitest";
import { parseCase } from "./verify-case";
import { packCase } from "./verify-pack";

const batch = {
  input_ids: [
    [5, 6, 0],
    [7, 1, 1],
  ],
  attention_mask: [
    [1, 1, 1],
    [1, 0, 0],
  ],
};
const lm = {
  task: "causal-lm",
  train: "full",
  ...batch,
  labels: [
    [-100, 6, 0],
    [7, -100, -100],
  ],
};
const reward = { task: "reward", train: "full", objective: "binary", ...batch, labels: [1, 0] };
const parse = (value: unknown) => parseCase(JSON.stringify(value), "case.json");

describe("case.json", () => {
  it("reads a batch", () => {
    expect(parse(lm)).toMatchObject({ task: "causal-lm", objective: null, trajectory: null, ignored: [] });
    expect(parse({ ...reward, labels: [[1], [0]] }).batch?.labels).toEqual([1, 0]);
    expect(parse({ ...reward, name: "x" }).ignored).toEqual(["name"]);
  });

  it("reads schedules under their many names", () => {
    const schedule = (optimizer: object, steps = 10) =>
      parse({ ...lm, steps, optimizer: { name: "AdamW", lr: 0.1, ...optimizer } }).trajectory?.optimizer.schedule;
    const plain = { learning_rate: 0.1, warmup_steps: 0, total_steps: 10 };
    expect(schedule({})).toEqual({ ...plain, type: "constant" });
    expect(schedule({ schedule: null })).toEqual({ ...plain, type: "constant" });
    expect(schedule({ schedule: "linear" })).toEqual({ ...plain, type: "linear" });
    expect(schedule({ schedule: "cosine", warmup_steps: 2, num_training_steps: 20 })).toEqual({
      ...plain,
      type: "cosine",
      warmup_steps: 2,
      total_steps: 20,
    });
    expect(schedule({ schedule: { type: "cosine", num_warmup_steps: 3, total: 9 } })).toEqual({
      ...plain,
      type: "cosine",
      warmup_steps: 3,
      total_steps: 9,
    });
    expect(schedule({ lr_scheduler_type: "constant_with_warmup", warmup_ratio: 0.25 })).toEqual({
      ...plain,
      type: "constant",
      warmup_steps: 3,
    });
  });

  it("trains on the case's own batch where there are no others", () => {
    const { trajectory } = parse({ ...lm, steps: 3, optimizer: { lr: 0.1 } });
    expect(trajectory).toMatchObject({ steps: 3, optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 } });
    expect(trajectory?.batches).toHaveLength(1);
    expect(parse({ ...lm, batches: [batch, batch], optimizer: { lr: 0.1 } }).trajectory?.steps).toBe(2);
  });

  it.each([
    ["not JSON", "{", /not JSON/],
    ["another task", { ...lm, task: "ppo" }, /task/],
    ["no objective", { ...reward, objective: undefined }, /objective/],
    ["ragged rows", { ...lm, input_ids: [[5, 6, 0], [7]] }, /input_ids/],
    ["a mask of another shape", { ...lm, attention_mask: [[1, 1, 1]] }, /attention_mask/],
    ["labels of another shape", { ...lm, labels: [[1, 2, 3]] }, /labels/],
    ["a label that is neither 0 nor 1", { ...reward, labels: [1, 2] }, /labels/],
    [
      "an odd number of rows for pairs",
      { ...reward, objective: "pairwise", input_ids: [[5]], attention_mask: [[1]] },
      /even/,
    ],
    ["an unknown optimizer", { ...lm, steps: 1, optimizer: { name: "sgd", lr: 1 } }, /sgd/],
    ["an unknown optimizer field", { ...lm, steps: 1, optimizer: { lr: 1, momentum: 0.9 } }, /momentum/],
    ["one field under two names", { ...lm, steps: 1, optimizer: { lr: 1, learning_rate: 1 } }, /both/],
    ["an unknown schedule", { ...lm, steps: 1, optimizer: { lr: 1, schedule: "wsd" } }, /wsd/],
    [
      "an unknown schedule field",
      { ...lm, steps: 1, optimizer: { lr: 1, schedule: { name: "cosine", min_lr: 1 } } },
      /min_lr/,
    ],
    ["steps without an optimizer", { ...lm, steps: 1 }, /optimizer/],
    ["a micro-batch list", { ...lm, batches: [[batch]], optimizer: { lr: 1 } }, /batches/],
  ])("refuses %s", (_, value, message) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    expect(() => parseCase(text, "case.json")).toThrow(message);
  });
});

describe("packing a case", () => {
  const pack = (value: object, task: "causal-lm" | "reward" = "causal-lm", pad: number | null = 1) => {
    const { batch: padded } = parse(value);
    if (!padded) throw new Error("the case has a batch");
    return packCase(padded, task, pad, "case.json");
  };
  const list = (array: Int32Array | undefined) => [...(array ?? [])];

  it("drops masked tokens, shifts targets and keeps columns as positions", () => {
    const { packed, places } = pack(lm);
    expect(list(packed.input_ids)).toEqual([5, 6, 0, 7]);
    expect(list(packed.position_ids)).toEqual([0, 1, 2, 0]);
    expect(list(packed.segment_start)).toEqual([0, 0, 0, 3]);
    expect(list(packed.segment_end)).toEqual([3, 3, 3, 4]);
    expect(list(packed.targets)).toEqual([6, 0, -100, -100]);
    expect(list(places)).toEqual([0, 1, 2, 3]);
  });

  it("keeps the label behind the last real token, which transformers counts, and refuses one behind padding", () => {
    expect(
      list(
        pack({
          ...lm,
          labels: [
            [-100, 6, 0],
            [7, 4, -100],
          ],
        }).packed.targets,
      ),
    ).toEqual([6, 0, -100, 4]);
    expect(() =>
      pack({
        ...lm,
        labels: [
          [-100, 6, 0],
          [7, 4, 3],
        ],
      }),
    ).toThrow(/row 1.*label at 2/);
  });

  it("handles left padding", () => {
    const left = {
      ...reward,
      input_ids: [
        [1, 1, 9],
        [1, 8, 0],
      ],
      attention_mask: [
        [0, 0, 1],
        [0, 1, 1],
      ],
    };
    const { packed } = pack(left, "reward");
    expect(list(packed.position_ids)).toEqual([2, 1, 2]);
    expect(list(packed.last_index)).toEqual([0, 2]);
  });

  it("judges the token transformers judges", () => {
    const last = (ids: number[], mask: number[], pad: number | null) =>
      list(pack({ ...reward, input_ids: [ids], attention_mask: [mask], labels: [1] }, "reward", pad).packed.last_index);
    expect(last([5, 6, 0, 1], [1, 1, 1, 0], 1)).toEqual([2]);
    // A real token that happens to be the padding id is skipped, as transformers does.
    expect(last([5, 6, 1, 1], [1, 1, 1, 0], 1)).toEqual([1]);
    // Padded with something that is not the padding id: the mask decides.
    expect(last([5, 6, 0, 0], [1, 1, 0, 0], 1)).toEqual([1]);
    expect(last([5, 6, 7], [1, 1, 1], null)).toEqual([2]);
    expect(last([1], [1], 1)).toEqual([0]);
    expect(() => last([1, 1], [0, 0], 1)).toThrow(/row 0/);
  });
});
