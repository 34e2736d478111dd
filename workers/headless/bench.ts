/** `nagi bench`: our matmul variants and whole training steps on one adapter, PyTorch beside them where it is installed. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { matmulBench } from "../engine/bench/matmul.bench";
import { STEP_CASES, type StepBenchCase, stepBench, stepConfig } from "../engine/bench/step.bench";
import { type DawnAdapter, openDawn } from "../engine/gpu/dawn";
import { EXIT } from "./run";

const STEPS = 5;

/** Milliseconds of a step in PyTorch, as text. NAGI_PYTHON names an interpreter that has torch and transformers. */
async function torchStep(bench: StepBenchCase): Promise<string> {
  const python = process.env.NAGI_PYTHON;
  if (python === undefined || python === "") return "not run (set NAGI_PYTHON)";
  const script = join(process.env.NAGI_ROOT ?? ".", "workers/engine/bench/peer_torch.py");
  const request = { config: stepConfig(bench), texts: bench.texts, length: bench.length, steps: STEPS };
  try {
    const { stdout } = await promisify(execFile)(python, [script, JSON.stringify(request)]);
    const answer: unknown = JSON.parse(stdout);
    if (typeof answer !== "object" || answer === null || !("milliseconds" in answer)) return "failed: no answer";
    return `${Number(answer.milliseconds).toFixed(1)} ms`;
  } catch (error) {
    return `failed: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]}`;
  }
}

const row = (...cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |\n`;

/** Prints two Markdown tables on stdout. Measure on a machine that does nothing else. */
export async function benchCommand(adapter: DawnAdapter | undefined, say: (line: string) => void): Promise<number> {
  const gpu = await openDawn(adapter);
  const print = (text: string) => void process.stdout.write(text);
  try {
    print(`Adapter: ${gpu.adapterName}. Medians.\n\n`);
    print(row("layout", "M x N x K", "kernel", "ms", "GFLOP/s", "chosen") + row(...Array(6).fill("---")));
    for (const { layout, M, N, K, variant, milliseconds, gflops, chosen } of await matmulBench(gpu, say))
      print(
        row(layout, `${M} x ${N} x ${K}`, variant, milliseconds.toFixed(2), gflops.toFixed(1), chosen ? "yes" : ""),
      );
    print("\n");
    print(
      row("step", "ms", "tokens/s", "dispatches", "submits", "MB", "PyTorch on the CPU") + row(...Array(7).fill("---")),
    );
    for (const bench of STEP_CASES) {
      say(`step ${bench.name}`);
      const { name, hidden_size, num_hidden_layers, texts, length, ...found } = await stepBench(gpu, bench, STEPS);
      const torch = await torchStep(bench);
      print(
        row(
          `${name}: hidden ${hidden_size} x ${num_hidden_layers}, ${texts} x ${length} tokens`,
          found.milliseconds.toFixed(1),
          found.tokensPerSecond.toFixed(0),
          found.dispatches,
          found.submits,
          found.megabytes.toFixed(0),
          torch,
        ),
      );
    }
    return EXIT.ok;
  } finally {
    gpu.destroy();
  }
}
