/** Runs the benchmark: everything in one process, on one adapter, in turns. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { H128, H256, type StepCase, stepConfig, stepInput } from "../../engine/bench/cases";
import { trainStepFlops } from "../../engine/bench/flops";
import {
  gflops,
  MATMUL_CASES,
  type MatmulCase,
  type MatmulContender,
  matmulElement,
  matmulInput,
  ourMatmuls,
} from "../../engine/bench/matmul.bench";
import { interleave } from "../../engine/bench/measure";
import { generateBench, ourModel, type StepContender } from "../../engine/bench/step.bench";
import { median } from "../../engine/gpu/autotune";
import { type DawnAdapter, openDawn } from "../../engine/gpu/dawn";
import type { Gpu } from "../../engine/gpu/gpu";
import { tuneGpu } from "../../engine/train/tuning";
import { type DeviceMeter, LentGpu } from "./lent-gpu";
import type { BenchReport, MatmulRow, StepRow } from "./report";

export const PARTS = ["matmul", "step", "forward", "generate"] as const;
export type Part = (typeof PARTS)[number];
export const PEERS = ["jax", "tfjs", "ort"] as const;
export type Peer = (typeof PEERS)[number];
export const CASES: readonly StepCase[] = [H128, H256];

export interface BenchOptions {
  readonly adapter?: DawnAdapter;
  readonly parts: ReadonlySet<Part>;
  readonly peers: ReadonlySet<Peer>;
  readonly cases: readonly StepCase[];
  /** Measurements each. */
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** Relative difference of two libraries' losses after a few steps of f32 in different orders. */
const SAME_LOSS = 1e-3;
const CHECKED_STEPS = 3;
/** Absolute difference of an element of a product of numbers below 1/2. */
const SAME_ELEMENT = 1e-2;

const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "unknown";

/** What the parts share: our device, the peers' modules as far as they load, and what went wrong. */
class Bench {
  readonly notes: string[] = [];
  /** The fastest product of ours so far: measured again in turns with the steps. */
  private best: { readonly problem: MatmulCase; readonly variant: string; readonly rate: number } | null = null;
  /** The best rate of any library. */
  peak: number | null = null;
  /** Set where a peer computed something else: its figures are worth nothing. */
  disagreed = false;

  private constructor(
    readonly gpu: Gpu,
    readonly meter: DeviceMeter,
    readonly jax: { readonly module: typeof import("./peer-jax"); readonly meter: DeviceMeter } | null,
    readonly tfjs: { readonly module: typeof import("./peer-tfjs"); readonly meter: DeviceMeter } | null,
    readonly ort: typeof import("./peer-ort") | null,
    readonly options: BenchOptions,
    notes: readonly string[],
  ) {
    this.notes.push(...notes);
  }

  static async open(options: BenchOptions): Promise<Bench> {
    let lent: LentGpu | undefined;
    let meter: DeviceMeter | undefined;
    const gpu = await openDawn(options.adapter, {
      onGpu: (dawn, globals) => {
        lent = new LentGpu(dawn, globals);
        meter = lent.meter();
      },
    });
    if (!lent || !meter) throw new Error("Dawn gave no GPU object");
    // As a run does it; nothing is kept, so every benchmark measures anew.
    await tuneGpu(gpu, { read: async () => null, keep: async () => undefined });
    const { peers, say } = options;
    const notes: string[] = [];
    const load = async <T>(peer: Peer, open: () => Promise<T>): Promise<T | null> => {
      if (!peers.has(peer)) return null;
      say(`${peer}: starting`);
      return open().catch((error: unknown) => {
        notes.push(`${peer} does not run here: ${reason(error)}`);
        return null;
      });
    };
    const jaxMeter = lent.meter();
    const jax = await load("jax", async () => {
      const module = await import("./peer-jax");
      await module.openJax();
      return { module, meter: jaxMeter };
    });
    const tfjsMeter = lent.meter();
    const tfjs = await load("tfjs", async () => {
      const module = await import("./peer-tfjs");
      await module.openTfjs();
      return { module, meter: tfjsMeter };
    });
    lent.meter();
    const ort = await load("ort", () => import("./peer-ort"));
    return new Bench(gpu, meter, jax, tfjs, ort, options, notes);
  }

  note(text: string): void {
    this.options.say(text);
    this.notes.push(text);
  }

  /** What `open` makes, or null and a note where it fails. */
  async attempt<T>(what: string, open: () => T | Promise<T>): Promise<T | null> {
    try {
      return await open();
    } catch (error) {
      this.note(`${what} did not run: ${reason(error)}`);
      return null;
    }
  }

  async matmul(problem: MatmulCase): Promise<MatmulRow> {
    const { gpu, jax, tfjs, ort, options } = this;
    const { layout, M, N, K } = problem;
    const label = `${problem.name} ${layout} ${M} x ${N} x ${K}`;
    options.say(`matmul ${label}`);
    const input = matmulInput(problem);
    const ours = await ourMatmuls(gpu, problem, input);
    for (const one of [ours.ours, ...ours.candidates]) this.checkProduct(one.name, label, problem, await one.output());
    const all: MatmulContender[] = [ours.ours];
    const join_ = async (name: string, open: () => MatmulContender | Promise<MatmulContender>) => {
      const contender = await this.attempt(`${name}, ${label},`, async () => {
        const made = await open();
        this.checkProduct(made.name, label, problem, await made.output());
        return made;
      });
      if (contender) all.push(contender);
    };
    if (jax) await join_("jax-js", () => jax.module.jaxMatmul(problem, input));
    if (tfjs) await join_("tfjs", () => tfjs.module.tfjsMatmul(problem, input));
    if (ort?.ortRuns(problem)) await join_("onnxruntime-web", () => ort.ortMatmul(problem, input));
    const times = await interleave(all, { rounds: options.rounds, span: 150, sleep: true });
    for (const contender of all) contender.dispose();
    const candidates = await interleave(ours.candidates, {
      rounds: Math.min(3, options.rounds),
      span: 60,
      sleep: true,
    });
    ours.dispose();
    for (const [index, { name }] of ours.candidates.entries()) {
      const candidate = gflops(problem, candidates[index] ?? Number.NaN);
      if (candidate > (this.best?.rate ?? 0)) this.best = { problem, variant: name, rate: candidate };
      this.reached(candidate);
    }
    for (const time of times) this.reached(gflops(problem, time));
    const rate = (name: string) => {
      const index = all.findIndex((contender) => contender.name === name);
      return index < 0 ? null : gflops(problem, times[index] ?? Number.NaN);
    };
    return {
      ...problem,
      variant: ours.variant,
      oursGflops: rate("ours"),
      jaxGflops: rate("jax-js"),
      tfjsGflops: rate("tfjs"),
      ortGflops: rate("onnxruntime-web"),
      candidates: Object.fromEntries(
        ours.candidates.map(({ name }, index) => [name, gflops(problem, candidates[index] ?? Number.NaN)]),
      ),
    };
  }

  private reached(rate: number): void {
    this.peak = Math.max(this.peak ?? 0, rate);
  }

  /** The fastest product again, to take turns with something else; null where none was measured. */
  private async bestProduct() {
    if (!this.best) return null;
    const { problem, variant } = this.best;
    const { candidates, dispose } = await ourMatmuls(this.gpu, problem, matmulInput(problem));
    const contender = candidates.find(({ name }) => name === variant);
    return contender ? { contender, problem, dispose } : null;
  }

  /** Some elements of a product against float64. @throws Error where one is wrong. */
  private checkProduct(name: string, label: string, problem: MatmulCase, output: Float32Array): void {
    const { M, N } = problem;
    const input = matmulInput(problem);
    if (output.length !== M * N) throw new Error(`${name}, ${label}: ${output.length} elements`);
    for (let i = 0; i < 32; i++) {
      const row = (i * 9973) % M;
      const column = (i * 7919) % N;
      const difference = Math.abs(
        (output[row * N + column] ?? Number.NaN) - matmulElement(problem, input, row, column),
      );
      if (!(difference <= SAME_ELEMENT))
        throw new Error(`${name}, ${label}: wrong by ${difference} at ${row}, ${column}`);
    }
  }

  /** Training steps of all, then (on our model) forward and generation, as far as they are asked for. */
  async model(bench: StepCase): Promise<{ step?: StepRow; forward?: number; batch1?: number; batch16?: number }> {
    const { gpu, options } = this;
    const { parts, rounds, say } = options;
    const input = stepInput(bench);
    const ours = await ourModel(gpu, bench, input);
    try {
      const step = parts.has("step") ? await this.step(bench, ours) : undefined;
      say(`${bench.name}: forward and generation`);
      const forward = parts.has("forward") ? (await interleave([ours.forward], { rounds, sleep: true }))[0] : undefined;
      const rate = async (count: number) =>
        median(await generateBench(gpu, bench, input, ours.trainer, count, Math.max(3, rounds)));
      const generated = parts.has("generate") ? { batch1: await rate(1), batch16: await rate(16) } : {};
      return {
        ...(step === undefined ? {} : { step }),
        ...(forward === undefined ? {} : { forward }),
        ...generated,
      };
    } finally {
      ours.dispose();
    }
  }

  private async step(bench: StepCase, ours: StepContender): Promise<StepRow> {
    const { jax, tfjs, options } = this;
    const input = stepInput(bench);
    const all: { contender: StepContender; meter: DeviceMeter }[] = [{ contender: ours, meter: this.meter }];
    const losses: Record<string, number[]> = {};
    const first = async (contender: StepContender) => {
      const values: number[] = [];
      for (let step = 0; step < CHECKED_STEPS; step++) {
        options.say(`${bench.name}: ${contender.name}, step ${step + 1} of the check`);
        values.push(await contender.step());
      }
      losses[contender.name] = values;
      return contender;
    };
    await first(ours);
    const joinIn = async (peer: { readonly meter: DeviceMeter } | null, name: string, open: () => StepContender) => {
      if (!peer) return;
      const contender = await this.attempt(`${name}, ${bench.name},`, () => first(open()));
      if (contender && this.sameLosses(bench.name, losses, contender)) all.push({ contender, meter: peer.meter });
    };
    await joinIn(jax, "jax-js", () => {
      if (!jax) throw new Error("jax-js is not loaded");
      return jax.module.jaxModel(bench, input);
    });
    await joinIn(tfjs, "tfjs", () => {
      if (!tfjs) throw new Error("tfjs is not loaded");
      return tfjs.module.tfjsModel(bench, input);
    });
    const counts: { dispatches: number; submits: number; peak: number }[] = [];
    for (const { contender, meter } of all) {
      meter.reset();
      await contender.step();
      counts.push({ dispatches: meter.dispatches, submits: meter.submits, peak: meter.peak });
    }
    // Peers wait for every step (queueing many made jax-js slower); ours are enqueued as training enqueues them.
    const product = await this.bestProduct();
    const times = await interleave(
      [...all.map(({ contender }) => contender), ...(product ? [product.contender] : [])],
      {
        rounds: options.rounds,
        span: 400,
        sleep: true,
        onRound: (round, name) => options.say(`${bench.name}: ${name}, round ${round}`),
      },
    );
    for (const { contender } of all.slice(1)) contender.dispose();
    product?.dispose();
    if (product) this.reached(gflops(product.problem, times[all.length] ?? Number.NaN));
    const of = <T>(name: string, values: readonly T[]): T | null =>
      values[all.findIndex(({ contender }) => contender.name === name)] ?? null;
    const megabytes = (name: string) => (of(name, counts)?.peak ?? Number.NaN) / 1e6;
    const peer = (name: string) => (of(name, counts) === null ? null : megabytes(name));
    const gflop = trainStepFlops(input.config, bench.texts, bench.length) / 1e9;
    return {
      gflop,
      oursMs: times[0] ?? Number.NaN,
      jaxMs: of("jax-js", times),
      tfjsMs: of("tfjs", times),
      shareOfPeak: null,
      oursPeakMB: megabytes("ours"),
      jaxPeakMB: peer("jax-js"),
      tfjsPeakMB: peer("tfjs"),
      oursDispatches: counts[0]?.dispatches ?? Number.NaN,
      jaxDispatches: of("jax-js", counts)?.dispatches ?? null,
      tfjsDispatches: of("tfjs", counts)?.dispatches ?? null,
      oursSubmits: counts[0]?.submits ?? Number.NaN,
      jaxSubmits: of("jax-js", counts)?.submits ?? null,
      tfjsSubmits: of("tfjs", counts)?.submits ?? null,
      losses,
      torchMs: await torchStep(bench),
    };
  }

  private sameLosses(bench: string, losses: Readonly<Record<string, readonly number[]>>, peer: StepContender): boolean {
    const ours = losses.ours ?? [];
    const theirs = losses[peer.name] ?? [];
    const same = ours.every((loss, step) => Math.abs((theirs[step] ?? Number.NaN) - loss) <= SAME_LOSS * loss);
    if (same) return true;
    this.disagreed = true;
    this.note(`${peer.name}, ${bench}: other losses (${theirs.join(", ")}) than ours (${ours.join(", ")}): not timed`);
    peer.dispose();
    return false;
  }
}

/** Milliseconds of a step in PyTorch on the CPU. NAGI_PYTHON names an interpreter that has torch and transformers. */
async function torchStep(bench: StepCase): Promise<number | null> {
  const python = process.env.NAGI_PYTHON;
  if (python === undefined || python === "") return null;
  const script = join(process.env.NAGI_ROOT ?? ".", "workers/engine/bench/peer_torch.py");
  const request = { config: stepConfig(bench), texts: bench.texts, length: bench.length, steps: 5 };
  const env = { ...process.env, OMP_WAIT_POLICY: "PASSIVE" };
  const { stdout } = await promisify(execFile)(python, [script, JSON.stringify(request)], { env });
  const answer: unknown = JSON.parse(stdout);
  if (typeof answer !== "object" || answer === null || !("milliseconds" in answer))
    throw new Error(`${script} answered ${stdout}`);
  return Number(answer.milliseconds);
}

/** The peers' versions as installed. */
function versions(peers: ReadonlySet<Peer>): Record<string, string> {
  const names = { jax: "@jax-js/jax", tfjs: "@tensorflow/tfjs-backend-webgpu", ort: "onnxruntime-web" } as const;
  const lock: unknown = JSON.parse(
    readFileSync(join(process.env.NAGI_ROOT ?? process.cwd(), "package-lock.json"), "utf8"),
  );
  const packages = typeof lock === "object" && lock !== null && "packages" in lock ? lock.packages : {};
  const found: Record<string, string> = {};
  for (const peer of peers) {
    const name = names[peer];
    const entry: unknown =
      typeof packages === "object" && packages !== null ? Reflect.get(packages, `node_modules/${name}`) : undefined;
    if (typeof entry === "object" && entry !== null && "version" in entry) found[name] = String(entry.version);
  }
  return found;
}

/** Everything the options ask for. `agreed` is false where a peer's loss differs from ours. */
export async function runBench(options: BenchOptions): Promise<{ report: BenchReport; agreed: boolean }> {
  const { parts, cases, rounds } = options;
  const started = loadavg()[0] ?? Number.NaN;
  const bench = await Bench.open(options);
  try {
    const matmul: MatmulRow[] = [];
    if (parts.has("matmul")) for (const problem of MATMUL_CASES) matmul.push(await bench.matmul(problem));
    const trainStep: Record<string, StepRow> = {};
    const forward: Record<string, number> = {};
    const generate: Record<string, { batch1: number; batch16: number }> = {};
    if (parts.has("step") || parts.has("forward") || parts.has("generate"))
      for (const one of cases) {
        const found = await bench.model(one);
        const { step, batch1, batch16 } = found;
        if (step)
          trainStep[one.name] = {
            ...step,
            shareOfPeak: bench.peak === null ? null : (step.gflop * 1000) / step.oursMs / bench.peak,
          };
        if (found.forward !== undefined) forward[one.name] = found.forward;
        if (batch1 !== undefined && batch16 !== undefined) generate[one.name] = { batch1, batch16 };
      }
    const largestForward = Object.values(forward).at(-1);
    const largestGenerate = Object.values(generate).at(-1);
    const report: BenchReport = {
      adapter: bench.gpu.adapterName,
      measuredAt: new Date().toISOString(),
      loadAverage: [started, loadavg()[0] ?? Number.NaN],
      peers: versions(options.peers),
      rounds,
      matmulPeakGflops: bench.peak,
      matmul,
      trainStep,
      ...(largestForward === undefined ? {} : { forward: { oursMs: largestForward, cases: forward } }),
      ...(largestGenerate === undefined
        ? {}
        : { generate: { oursTokensPerSecond: largestGenerate.batch16, cases: generate } }),
      notes: bench.notes,
    };
    return { report, agreed: !bench.disagreed };
  } finally {
    bench.gpu.destroy();
  }
}
