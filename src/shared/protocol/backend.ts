/**
 * The one interface behind which a run lives: a Web Worker (clients/local.ts) or, later, a machine with GPUs
 * (clients/remote.ts). Every method rejects with a NagiError.
 */
import type { RunConfig } from "./config";
import type { RunEvent, ScoredSample } from "./events";
import type { RunRecord } from "./run";

export type ProblemReason = "not_json" | "missing_column" | "bad_label" | "empty_sentence";

export interface DatasetSummary {
  readonly rows: number;
  readonly positive: number;
  readonly negative: number;
  /** Characters: counts of texts per bin of `bin_width` characters, from 0. */
  readonly histogram: { readonly bin_width: number; readonly counts: readonly number[] };
  readonly mean_characters: number;
  readonly max_characters: number;
  readonly duplicates: number;
  /** Lines that were left out, with the reason (a key) and what stood there; the first hundred. */
  readonly problems: readonly { readonly line: number; readonly reason: ProblemReason; readonly value: string }[];
  readonly problem_count: number;
  /** What the reader assumed: the text is not UTF-8; labels are numbers and 1 was taken for positive. */
  readonly notes: readonly ("not_utf8" | "numeric_labels")[];
  readonly samples: readonly { readonly sentence: string; readonly label: "positive" | "negative" }[];
}

export interface ModelSummary {
  readonly name: string;
  readonly parameters: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly dtype: string;
  readonly bytes: number;
}

export interface StorageUse {
  /** Bytes, as the browser estimates them; null where it does not say. */
  readonly usage: number | null;
  readonly quota: number | null;
  readonly runs: readonly { readonly run_id: string; readonly bytes: number }[];
}

export interface TrainBackend {
  listRuns(): Promise<RunRecord[]>;
  /** Creates and starts a run; resolves once it is listed, not when it ends. */
  start(config: RunConfig): Promise<RunRecord>;
  /** Finishes the current step, checkpoints, releases the GPU. */
  pause(runId: string): Promise<void>;
  /** Continues from the newest checkpoint (also after a reload, a crash or a lost device). */
  resume(runId: string): Promise<void>;
  /** Ends the run for good after a last checkpoint. */
  stop(runId: string): Promise<void>;
  checkpoint(runId: string): Promise<void>;
  delete(runId: string): Promise<void>;
  /** Stored events with seq >= sinceSeq, then live ones. Returns a function that ends the subscription. */
  events(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<() => void>;
  /** Rewards of `texts` by the run's newest weights. */
  score(
    runId: string,
    texts: readonly string[],
  ): Promise<{ reward: number; probability: number; tokens: number; truncated: boolean }[]>;
  /** All rows of a split with their rewards, unsorted. */
  scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]>;
  /** The trained model in Hugging Face layout, a zip. */
  exportModel(runId: string): Promise<Blob>;
  inspectDataset(reference: string): Promise<DatasetSummary>;
  inspectModel(reference: string): Promise<ModelSummary>;
  storage(): Promise<StorageUse>;
}
