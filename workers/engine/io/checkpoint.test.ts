import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/stats/random";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from "./checkpoint";
import { parseHeader, writeSafetensors } from "./safetensors";

const random = Random.seeded(1);
const draw = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const tensors = () =>
  new Map([
    ["gpt_neox.embed_in.weight", draw(12)],
    ["score.weight", draw(5)],
    ["重み", Float32Array.of(-0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45)],
  ]);
const checkpoint: Checkpoint = {
  optimizer_step: 123,
  weights: tensors(),
  exp_avg: tensors(),
  exp_avg_sq: tensors(),
  state: {
    config: { name: "凪\u2028\n" },
    sampler: { epoch: 1, random: [1, 2, 3, 4_294_967_295] },
    none: null,
    ok: true,
  },
};

const bits = (map: ReadonlyMap<string, Float32Array>) =>
  [...map].map(([name, values]) => [name, Array.from(new Uint32Array(values.slice().buffer))]);

describe("a checkpoint", () => {
  it("comes back bit for bit", async () => {
    const decoded = await decodeCheckpoint(await encodeCheckpoint(checkpoint), "step-123");
    expect(decoded.optimizer_step).toBe(123);
    expect(decoded.state).toEqual(checkpoint.state);
    for (const group of ["weights", "exp_avg", "exp_avg_sq"] as const) {
      expect(bits(decoded[group])).toEqual(bits(checkpoint[group]));
    }
  });

  it("is the same bytes each time, and a safetensors file anyone can read", async () => {
    const bytes = await encodeCheckpoint(checkpoint);
    expect(Buffer.from(bytes).equals(await encodeCheckpoint(checkpoint))).toBe(true);
    const { tensors: stored, metadata } = parseHeader(bytes, bytes.byteLength, "f");
    expect(stored.get("exp_avg.score.weight")?.shape).toEqual([5]);
    expect(metadata.optimizer_step).toBe("123");
  });

  it("may be empty, and lie at an odd place in memory", async () => {
    const empty = { optimizer_step: 0, weights: new Map(), exp_avg: new Map(), exp_avg_sq: new Map(), state: null };
    expect(await decodeCheckpoint(await encodeCheckpoint(empty), "f")).toEqual(empty);
    const bytes = await encodeCheckpoint(checkpoint);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect((await decodeCheckpoint(shifted.subarray(3), "f")).state).toEqual(checkpoint.state);
  });

  it("does not store what JSON cannot hold", async () => {
    await expect(encodeCheckpoint({ ...checkpoint, state: { loss: Number.NaN } })).rejects.toThrow("loss is NaN");
  });
});

describe("damage", () => {
  it("a file cut off anywhere is refused", async () => {
    const bytes = await encodeCheckpoint(checkpoint);
    for (let length = 0; length < bytes.length; length += 7) {
      await expect(decodeCheckpoint(bytes.subarray(0, length), "step-9")).rejects.toMatchObject({
        code: "storage.corrupt",
        details: { file: "step-9" },
      });
    }
  });

  it("every single changed byte is found", async () => {
    const bytes = await encodeCheckpoint(checkpoint);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      await expect(decodeCheckpoint(damaged, "f"), `byte ${at}`).rejects.toMatchObject({ code: "storage.corrupt" });
    }
  });

  it("another file, another version and a checksum of nothing are refused", async () => {
    const refuse = (metadata: Record<string, string>, reason: string) =>
      expect(decodeCheckpoint(writeSafetensors([], metadata), "f")).rejects.toThrow(reason);
    await refuse({ format: "pt" }, "not a checkpoint of Nagi");
    await refuse({ format: "nagi-checkpoint", version: "2" }, "its version is 2");
    await refuse({ format: "nagi-checkpoint", version: "1" }, "checksum");
    await refuse({ format: "nagi-checkpoint", version: "1", checksum: "0".repeat(64) }, "checksum");
  });
});
