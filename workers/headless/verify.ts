/** `nagi verify DIR`: one case from outside against the engine. The format is described in docs/verify.md. */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { NagiError } from "../../src/shared/errors";
import { type DawnAdapter, openDawn } from "../engine/gpu/dawn";
import type { Gpu } from "../engine/gpu/gpu";
import type { Dtype } from "../engine/io/dtype";
import { openCheckpoint } from "../engine/io/hf-model";
import { openSafetensors, readTensor } from "../engine/io/safetensors";
import type { TensorValues } from "../engine/io/tensors";
import { LABELS } from "../engine/model/heads";
import { isLora } from "../engine/model/lora";
import { parseNeoxConfig } from "../engine/model/neox-config";
import { EMBEDDING, type HeadSpec, neoxParameterShapes, OUTPUT_EMBEDDING, SCORE } from "../engine/model/shapes";
import type { AdamWOptions } from "../engine/optim/adamw";
import { learningRate } from "../engine/optim/schedule";
import { type StepResult, Trainer } from "../engine/train/trainer";
import { FolderSource } from "./sources";
import {
  GRADIENT,
  MERGED,
  merge,
  parameterOf,
  readAdapter,
  storedAs,
  trainsScore,
  withoutDropout,
} from "./verify-adapter";
import { invalid, parseCase, type VerifyCase } from "./verify-case";
import { type Comparison, compareGroup, type Group, type GroupResult } from "./verify-compare";
import { type PackedCase, packCase } from "./verify-pack";

export interface VerifyReport extends Partial<Record<Group, GroupResult>> {
  readonly pass: boolean;
  readonly case: string;
  readonly adapter: string;
}

interface Expected {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const EXPECTED = "expected.safetensors";

/** Runs a case on `gpu`. Throws NagiError where something cannot be read; `warn` hears what was not looked at. */
export async function verify(folder: string, gpu: Gpu, warn: (line: string) => void): Promise<VerifyReport> {
  const text = await readCase(folder);
  const one = parseCase(text, "case.json");
  const expected = await readExpected(folder);
  for (const name of [...one.ignored.map((field) => `case.json: ${field}`), ...unknownNames(expected)])
    warn(`${name} is not looked at`);
  const groups = await new Run(folder, one, expected, gpu, warn).compare();
  const results = Object.values(groups);
  if (results.length === 0)
    throw invalid(
      EXPECTED,
      "the file",
      "holds nothing to compare: loss, logits, scores, grad.*, trajectory.*, merged.*",
    );
  return {
    pass: results.every((group) => group.pass),
    ...groups,
    case: basename(folder),
    adapter: gpu.adapterName,
  };
}

async function readCase(folder: string): Promise<string> {
  try {
    return await readFile(join(folder, "case.json"), "utf8");
  } catch (error) {
    throw invalid("case.json", folder, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readExpected(folder: string): Promise<Map<string, Expected>> {
  const source = new FolderSource(folder);
  const header = await openSafetensors(source, EXPECTED);
  const tensors = new Map<string, Expected>();
  for (const [name, entry] of header.tensors)
    tensors.set(name, { shape: entry.shape, data: await readTensor(source, EXPECTED, entry) });
  return tensors;
}

const KNOWN = ["loss", "logits", "scores", "trajectory.loss", "trajectory.grad_norm"];

function unknownNames(expected: ReadonlyMap<string, Expected>): string[] {
  const isKnown = (name: string) => KNOWN.includes(name) || name.startsWith(GRADIENT) || name.startsWith(MERGED);
  const unknown = [...expected.keys()].filter((name) => !isKnown(name));
  return unknown.map((name) => `${EXPECTED}: ${name}`);
}

class Run {
  constructor(
    private readonly folder: string,
    private readonly one: VerifyCase,
    private readonly expected: ReadonlyMap<string, Expected>,
    private readonly gpu: Gpu,
    private readonly warn: (line: string) => void,
  ) {}

  async compare(): Promise<Partial<Record<Group, GroupResult>>> {
    const { one, gpu, expected } = this;
    const head: HeadSpec =
      one.task === "causal-lm"
        ? { kind: "causal-lm" }
        : { kind: "reward", num_labels: LABELS[one.objective ?? "binary"] };
    const source = new FolderSource(join(this.folder, "model"), "model");
    const model = await openCheckpoint(source, {
      // An adapter may bring the score head of a base that has none.
      expected: (json) =>
        [...neoxParameterShapes(parseNeoxConfig(json), head)].map(([name, shape]) => {
          return { name, shape, optional: one.train === "lora" && name === SCORE };
        }),
    });
    const config = parseNeoxConfig(model.configJson);
    const adapter = await readAdapter(this.folder, one.train, config, head);
    const pack = (batch: NonNullable<VerifyCase["batch"]>) =>
      packCase(batch, one.task, config.pad_token_id, "case.json");
    const own = one.batch && pack(one.batch);
    const batches = one.trajectory?.batches.map(pack) ?? [];
    const all = [...(own ? [own] : []), ...batches];
    const halves = model.dtype === "F16" && gpu.capabilities.f16;
    const trained = adapter && !trainsScore(adapter, expected.keys()) ? { trainable: isLora } : {};
    const trainer = await Trainer.create(
      gpu,
      config,
      new Map<string, TensorValues>([...model.tensors, ...(adapter?.tensors ?? [])]),
      {
        task: one.task,
        // f16 where the checkpoint is: it is exact then.
        ...(adapter ? { lora: withoutDropout(adapter.lora), frozen_dtype: halves ? "f16" : "f32", ...trained } : {}),
        ...(one.objective ? { objective: one.objective } : {}),
        optimizer: optimizerOptions(one),
        max_tokens: Math.max(...all.map(({ packed }) => packed.input_ids.length)),
        max_texts: Math.max(...all.map(({ rows }) => rows)),
      },
    );
    try {
      const groups: Partial<Record<Group, GroupResult>> = {};
      if (own) Object.assign(groups, await this.#ownBatch(trainer, own, config.vocab_size));
      else this.#refuse(["loss", "logits", "scores", GRADIENT], "case.json has no input_ids of its own");
      const wanted = ["trajectory.loss", "trajectory.grad_norm"].filter((name) => expected.has(name));
      if (wanted.length > 0) groups.trajectory = await this.#trajectory(trainer, batches, wanted);
      const merged = [...expected.keys()].filter((name) => name.startsWith(MERGED));
      if (merged.length > 0) {
        if (!adapter) throw invalid(EXPECTED, merged[0] ?? "", 'needs an adapter/ and train "lora"');
        groups.merged = this.#merged(await merge(model.tensors, adapter, config), model.dtype, merged);
      }
      return groups;
    } finally {
      trainer.destroy();
    }
  }

  #refuse(names: readonly string[], problem: string): void {
    for (const name of this.expected.keys())
      if (names.includes(name) || (names.includes(GRADIENT) && name.startsWith(GRADIENT)))
        throw invalid(EXPECTED, name, `cannot be compared: ${problem}`);
  }

  async #ownBatch(trainer: Trainer, own: PackedCase, vocabulary: number): Promise<Partial<Record<Group, GroupResult>>> {
    const { expected, one } = this;
    const groups: Partial<Record<Group, GroupResult>> = {};
    const compare = (group: "logits" | "scores" | "loss", ours: ArrayLike<number>, shape: readonly number[]) => {
      const wanted = this.#take(group, shape);
      if (wanted) groups[group] = compareGroup(group, [{ name: group, ours, expected: wanted }]);
    };
    if (one.task === "causal-lm") {
      this.#refuse(["scores"], "a language model has no scores");
      if (expected.has("logits")) {
        const { logits } = await trainer.forward(own.packed, { logits: true });
        if (!logits) throw new Error("the trainer made no logits");
        const padded = new Float32Array(own.rows * own.columns * vocabulary);
        own.places.forEach((place, token) => {
          padded.set(logits.subarray(token * vocabulary, (token + 1) * vocabulary), place * vocabulary);
        });
        compare("logits", padded, [own.rows, own.columns, vocabulary]);
      }
    } else {
      this.#refuse(["logits"], "a reward model has scores");
      const { scores } = await trainer.forward(own.packed);
      if (!scores) throw new Error("the trainer made no scores");
      compare("scores", scores, [own.rows, LABELS[one.objective ?? "binary"]]);
    }
    const gradients = [...expected.keys()].filter((name) => name.startsWith(GRADIENT));
    if (!expected.has("loss") && gradients.length === 0) return groups;
    if (one.task === "causal-lm" ? !one.batch?.token_labels : one.objective !== "pairwise" && !one.batch?.labels)
      this.#refuse(["loss", GRADIENT], "case.json has no labels");
    const { loss } = await trainer.backward([own.packed]);
    compare("loss", [loss], [1]);
    if (gradients.length > 0) groups.grads = await this.#gradients(trainer, gradients);
    return groups;
  }

  /** Every expected gradient against ours; one that we do not have fails. */
  async #gradients(trainer: Trainer, names: readonly string[]): Promise<GroupResult> {
    const ours = await trainer.gradients();
    const wanted = new Set(names.map(parameterOf));
    const embedding = ours.get(EMBEDDING);
    // Tied weights have one gradient under two names.
    if (!ours.has(OUTPUT_EMBEDDING) && this.one.task === "causal-lm" && embedding) {
      if (wanted.has(OUTPUT_EMBEDDING)) ours.set(OUTPUT_EMBEDDING, embedding);
      if (!wanted.has(EMBEDDING)) ours.delete(EMBEDDING);
    }
    const comparisons: Comparison[] = names.map((name) => ({
      name,
      ours: ours.get(parameterOf(name)),
      expected: this.expected.get(name)?.data ?? [],
    }));
    const squares = comparisons.reduce((sum, { expected }) => sum + squaredNorm(expected), 0);
    const unchecked = [...ours.keys()].filter((name) => !wanted.has(name));
    if (unchecked.length > 0) this.warn(`${EXPECTED} has no gradient for ${unchecked.join(", ")}: not compared`);
    return compareGroup("grads", comparisons, Math.sqrt(squares));
  }

  #merged(ours: ReadonlyMap<string, Float32Array>, dtype: Dtype, names: readonly string[]): GroupResult {
    const comparisons = names.map((name) => {
      const expected = this.expected.get(name)?.data ?? new Float32Array();
      const merged = ours.get(parameterOf(name));
      return { name, ours: merged && storedAs(merged, expected, dtype), expected };
    });
    return compareGroup("merged", comparisons);
  }

  async #trajectory(trainer: Trainer, batches: readonly PackedCase[], names: readonly string[]): Promise<GroupResult> {
    const { trajectory } = this.one;
    if (!trajectory) throw invalid("case.json", "optimizer", `is missing, but ${EXPECTED} has ${names.join(", ")}`);
    const { steps, optimizer } = trajectory;
    const pending: Promise<StepResult>[] = [];
    for (let step = 0; step < steps; step++) {
      const batch = batches[step % batches.length];
      if (batch) pending.push(trainer.step([batch.packed], learningRate(optimizer.schedule, step)));
      // Not to queue the whole run on the GPU.
      await pending[step - 2];
    }
    const results = await Promise.all(pending);
    const series: Readonly<Record<string, readonly number[]>> = {
      "trajectory.loss": results.map(({ loss }) => loss),
      "trajectory.grad_norm": results.map(({ grad_norm }) => grad_norm),
    };
    const comparisons = names.map((name) => ({ name, ours: series[name], expected: this.#take(name, [steps]) ?? [] }));
    return compareGroup("trajectory", comparisons);
  }

  /** An expected tensor, if there is one; of another number of elements it is refused. */
  #take(name: string, shape: readonly number[]): Float32Array | undefined {
    const tensor = this.expected.get(name);
    if (!tensor) return undefined;
    const size = shape.reduce((product, one) => product * one, 1);
    if (tensor.data.length !== size)
      throw invalid(EXPECTED, name, `has shape [${tensor.shape.join(", ")}], case.json makes it [${shape.join(", ")}]`);
    return tensor.data;
  }
}

function squaredNorm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] ?? 0) ** 2;
  return sum;
}

function optimizerOptions({ trajectory }: VerifyCase): AdamWOptions {
  if (!trajectory) return { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 0 };
  const { betas, eps, weight_decay, max_grad_norm } = trajectory.optimizer;
  return { betas, eps, weight_decay, max_grad_norm };
}

const isAdapter = (name: string | undefined): name is DawnAdapter => name === "lavapipe" || name === "swiftshader";

/** The command. Exit code 0: within tolerance; 1: not; 2: the case cannot be read. */
export async function verifyCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { adapter: { type: "string" } },
  });
  const say = (line: string) => void process.stderr.write(`nagi: ${line}\n`);
  const [folder, ...rest] = positionals;
  const { adapter } = values;
  if (folder === undefined || rest.length > 0) {
    say("verify takes one folder");
    return 2;
  }
  if (adapter !== undefined && !isAdapter(adapter)) {
    say(`there is no adapter ${adapter}: lavapipe or swiftshader`);
    return 2;
  }
  let gpu: Gpu | undefined;
  try {
    gpu = await openDawn(adapter);
    const report = await verify(folder, gpu, say);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.pass ? 0 : 1;
  } catch (error) {
    const known = error instanceof NagiError;
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    say(known ? `${folder}: ${error.code}: ${error.message}` : trace);
    return 2;
  } finally {
    gpu?.destroy();
  }
}
