/** Every golden case passes on the adapter at hand, and a case whose expectation is wrong fails. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDawn } from "../engine/gpu/dawn";
import type { Gpu } from "../engine/gpu/gpu";
import { openSafetensors, readTensor, writeSafetensors } from "../engine/io/safetensors";
import { FolderSource } from "./sources";
import { verify } from "./verify";

const GOLDEN = fileURLToPath(new URL("../engine/golden", import.meta.url));
const cases = readdirSync(GOLDEN, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

let gpu: Gpu;
let scratch: string;

beforeAll(async () => {
  gpu = await openDawn();
  scratch = mkdtempSync(join(tmpdir(), "nagi-verify-"));
});
afterAll(() => {
  gpu.destroy();
  rmSync(scratch, { recursive: true });
});

const refuse = (line: string) => {
  throw new Error(`unexpected warning: ${line}`);
};

/** A copy of a case, with its expectations changed. */
async function changed(
  name: string,
  label: string,
  change: (tensors: Map<string, Float32Array>) => void,
): Promise<string> {
  const folder = join(scratch, label);
  cpSync(join(GOLDEN, name), folder, { recursive: true });
  const source = new FolderSource(folder);
  const header = await openSafetensors(source, "expected.safetensors");
  const tensors = new Map<string, Float32Array>();
  for (const [tensor, entry] of header.tensors)
    tensors.set(tensor, await readTensor(source, "expected.safetensors", entry));
  change(tensors);
  const file = writeSafetensors(
    [...tensors].map(([tensor, data]) => {
      const shape = header.tensors.get(tensor)?.shape ?? [data.length];
      return { name: tensor, shape, data };
    }),
  );
  writeFileSync(join(folder, "expected.safetensors"), file);
  return folder;
}

function entry(tensors: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`the case has no ${name}`);
  return tensor;
}

describe("golden cases", () => {
  it("are there", () => {
    expect(cases.length).toBeGreaterThanOrEqual(12);
  });

  for (const name of cases)
    it(`${name} matches PyTorch`, async () => {
      const report = await verify(join(GOLDEN, name), gpu, refuse);
      expect(report, JSON.stringify(report, null, 1)).toMatchObject({ pass: true });
    });
});

describe("wrong expectations", () => {
  it("fails where one gradient is one percent off, and names it", async () => {
    const wrong = "grad.gpt_neox.layers.1.mlp.dense_4h_to_h.weight";
    const folder = await changed("lm-sequential", "gradient", (tensors) => {
      const tensor = entry(tensors, wrong);
      tensor.forEach((value, index) => {
        tensor[index] = value * 1.01;
      });
    });
    const report = await verify(folder, gpu, refuse);
    expect(report.pass).toBe(false);
    expect(report.grads).toMatchObject({ pass: false, tensor: wrong });
    expect(report.logits?.pass).toBe(true);
  });

  it("fails where an expected value is NaN", async () => {
    const folder = await changed("reward-binary", "nan", (tensors) => {
      entry(tensors, "scores")[1] = Number.NaN;
    });
    const report = await verify(folder, gpu, refuse);
    expect(report.pass).toBe(false);
    expect(report.scores?.pass).toBe(false);
  });

  it("fails where a gradient is expected that does not exist", async () => {
    const name = "grad.gpt_neox.layers.7.attention.dense.bias";
    const folder = await changed("reward-pairwise", "extra", (tensors) => {
      tensors.set(name, new Float32Array(12));
    });
    expect((await verify(folder, gpu, refuse)).grads).toMatchObject({ pass: false, tensor: name });
  });

  it("says which gradients the case does not expect", async () => {
    const folder = await changed("reward-pairwise", "missing", (tensors) => {
      tensors.delete("grad.score.weight");
    });
    const warnings: string[] = [];
    const report = await verify(folder, gpu, (line) => warnings.push(line));
    expect(report.grads?.pass).toBe(true);
    expect(warnings).toEqual([expect.stringContaining("score.weight")]);
  });

  it("fails where a trajectory drifts", async () => {
    const folder = await changed("reward-trajectory", "trajectory", (tensors) => {
      const norms = entry(tensors, "trajectory.grad_norm");
      norms[5] = (norms[5] ?? 0) * 1.002;
    });
    expect((await verify(folder, gpu, refuse)).trajectory).toMatchObject({
      pass: false,
      tensor: "trajectory.grad_norm",
    });
  });

  it("fails where a merged weight is off, and names it", async () => {
    const wrong = "merged.gpt_neox.layers.0.attention.query_key_value.weight";
    const folder = await changed("lora-all-targets", "merged", (tensors) => {
      const tensor = entry(tensors, wrong);
      tensor[5] = (tensor[5] ?? 0) + 2e-5;
    });
    const report = await verify(folder, gpu, refuse);
    expect(report.merged).toMatchObject({ pass: false, tensor: wrong });
    expect([report.grads?.pass, report.logits?.pass]).toEqual([true, true]);
  });

  it("takes gradients by peft's names in memory as well", async () => {
    const folder = await changed("lora-reward", "memory", (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        if (!name.startsWith("grad.")) continue;
        tensors.delete(name);
        const inMemory = name
          .replace(/\.lora_([AB])\./, ".lora_$1.default.")
          .replace("base_model.model.score.", "base_model.model.score.modules_to_save.default.");
        expect(inMemory).not.toBe(name);
        tensors.set(inMemory, tensor);
      }
    });
    expect((await verify(folder, gpu, refuse)).grads).toMatchObject({ pass: true });
  });

  it("refuses what it cannot compare", async () => {
    const nothing = await changed("reward-pairwise", "nothing", (tensors) => tensors.clear());
    await expect(verify(nothing, gpu, refuse)).rejects.toMatchObject({ code: "case.invalid" });
    const folder = await changed("reward-pairwise", "no adapter", () => undefined);
    const text = readFileSync(join(folder, "case.json"), "utf8");
    writeFileSync(join(folder, "case.json"), text.replace('"full"', '"lora"'));
    await expect(verify(folder, gpu, refuse)).rejects.toThrow(/no folder adapter/);
    writeFileSync(join(folder, "case.json"), text.replace('"pairwise"', '"triplet"'));
    await expect(verify(folder, gpu, refuse)).rejects.toThrow(/objective/);
  });
});
