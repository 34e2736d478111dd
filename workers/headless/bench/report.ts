/** What a benchmark found: the JSON it writes and the Markdown it prints. */

import type { MatmulCase } from "../../engine/bench/matmul.bench";

/** GFLOP/s; null where it did not run (why: notes). */
export interface MatmulRow extends MatmulCase {
  /** The kernel that training takes for these sizes on this adapter. */
  readonly variant: string;
  readonly oursGflops: number | null;
  readonly jaxGflops: number | null;
  readonly tfjsGflops: number | null;
  /** NN only: ONNX' MatMul has no other layout. */
  readonly ortGflops: number | null;
  /** Every candidate of ours. */
  readonly candidates: Readonly<Record<string, number>>;
}

export interface StepRow {
  /** What the model needs (flops.ts); recomputation does not count. */
  readonly gflop: number;
  readonly oursMs: number;
  readonly jaxMs: number | null;
  readonly tfjsMs: number | null;
  /**
   * FLOP/s of our step over the best product's: that of the whole run, or the same product in turns with these steps where
   * it was faster then (machines are not equally fast at all times). Null where no matmul was measured.
   */
  readonly shareOfPeak: number | null;
  readonly oursPeakMB: number;
  readonly jaxPeakMB: number | null;
  readonly tfjsPeakMB: number | null;
  readonly oursDispatches: number;
  readonly jaxDispatches: number | null;
  readonly tfjsDispatches: number | null;
  readonly oursSubmits: number;
  readonly jaxSubmits: number | null;
  readonly tfjsSubmits: number | null;
  /** Losses of the first steps, from the same weights on the same batch. */
  readonly losses: Readonly<Record<string, readonly number[]>>;
  /** PyTorch on this machine's CPU, for orientation (NAGI_PYTHON). */
  readonly torchMs: number | null;
}

export interface BenchReport {
  readonly adapter: string;
  readonly measuredAt: string;
  /** 1 minute's load average at the start and at the end: above the bench's own it says that others computed too. */
  readonly loadAverage: readonly [start: number, end: number];
  readonly peers: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** The best rate of any library and any kernel at any of the sizes. */
  readonly matmulPeakGflops: number | null;
  readonly matmul: readonly MatmulRow[];
  readonly trainStep: Readonly<Record<string, StepRow>>;
  /** At the larger size measured. */
  readonly forward?: { readonly oursMs: number; readonly cases: Readonly<Record<string, number>> };
  /** At the larger size measured: `oursTokensPerSecond` at batch 16. */
  readonly generate?: {
    readonly oursTokensPerSecond: number;
    readonly cases: Readonly<Record<string, { readonly batch1: number; readonly batch16: number }>>;
  };
  /** What did not run, and why. */
  readonly notes: readonly string[];
}

type Cell = string | number;
/** A Markdown table. */
export const table = (head: readonly string[], rows: readonly (readonly Cell[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");

const fixed = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? "–" : value.toFixed(digits);
const share = (value: number | null): string => (value === null ? "–" : `${(100 * value).toFixed(0)} %`);
const ratio = (theirs: number | null, ours: number): string =>
  theirs === null ? "–" : `${(theirs / ours).toFixed(2)} ×`;

function matmulTable({ matmul, matmulPeakGflops }: BenchReport): string {
  const rows = matmul.map((row) => [
    row.name,
    row.layout,
    `${row.M} × ${row.N} × ${row.K}`,
    row.variant,
    fixed(row.oursGflops, 1),
    fixed(row.jaxGflops, 1),
    fixed(row.tfjsGflops, 1),
    fixed(row.ortGflops, 1),
    Object.entries(row.candidates)
      .map(([variant, rate]) => `${variant} ${rate.toFixed(1)}`)
      .join(", "),
  ]);
  const head = [
    "layer",
    "layout",
    "M × N × K",
    "our kernel",
    "ours",
    "jax-js",
    "tfjs",
    "onnxruntime-web",
    "candidates",
  ];
  return `Matrix products, GFLOP/s. Best: ${fixed(matmulPeakGflops, 1)}.\n\n${table(head, rows)}\n`;
}

function stepTables({ trainStep }: BenchReport): string {
  const rows = Object.entries(trainStep);
  const times = table(
    [
      "training step",
      "GFLOP",
      "ours ms",
      "jax-js ms",
      "tfjs ms",
      "jax-js / ours",
      "tfjs / ours",
      "share of peak",
      "PyTorch CPU ms",
    ],
    rows.map(([name, row]) => [
      name,
      row.gflop.toFixed(1),
      row.oursMs.toFixed(0),
      fixed(row.jaxMs, 0),
      fixed(row.tfjsMs, 0),
      ratio(row.jaxMs, row.oursMs),
      ratio(row.tfjsMs, row.oursMs),
      share(row.shareOfPeak),
      fixed(row.torchMs, 0),
    ]),
  );
  const memory = table(
    [
      "training step",
      "peak buffers MB: ours",
      "jax-js",
      "tfjs",
      "dispatches: ours",
      "jax-js",
      "tfjs",
      "submits: ours",
      "jax-js",
      "tfjs",
    ],
    rows.map(([name, row]) => [
      name,
      row.oursPeakMB.toFixed(0),
      fixed(row.jaxPeakMB, 0),
      fixed(row.tfjsPeakMB, 0),
      row.oursDispatches,
      row.jaxDispatches ?? "–",
      row.tfjsDispatches ?? "–",
      row.oursSubmits,
      row.jaxSubmits ?? "–",
      row.tfjsSubmits ?? "–",
    ]),
  );
  return `${times}\n${memory}\n`;
}

/** The report as Markdown. */
export function markdown(report: BenchReport): string {
  const { adapter, measuredAt, loadAverage, rounds, peers, forward, generate, notes } = report;
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  const parts = [
    `Adapter: ${adapter}. ${measuredAt}, load average ${loadAverage.map((load) => load.toFixed(1)).join(" at the start, ")} at the end. ` +
      `Medians of ${rounds} interleaved runs. ${versions.join(", ")}.\n\n`,
  ];
  if (report.matmul.length > 0) parts.push(matmulTable(report));
  if (Object.keys(report.trainStep).length > 0) parts.push(stepTables(report));
  if (forward) {
    const rows = Object.entries(forward.cases).map(([name, ms]) => [name, ms.toFixed(0)]);
    parts.push(`${table(["forward only", "ours ms"], rows)}\n`);
  }
  if (generate) {
    const rows = Object.entries(generate.cases).map(([name, { batch1, batch16 }]) => [
      name,
      batch1.toFixed(0),
      batch16.toFixed(0),
    ]);
    parts.push(`${table(["generation with KV cache", "ours tokens/s, batch 1", "batch 16"], rows)}\n`);
  }
  if (notes.length > 0) parts.push(`${notes.map((note) => `- ${note}\n`).join("")}\n`);
  return parts.join("");
}
