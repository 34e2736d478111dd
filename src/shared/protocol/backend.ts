/**
 * The one interface behind which a run lives: a Web Worker (clients/local.ts) or, later, a machine with GPUs
 * (clients/remote.ts). Every method rejects with a NagiError.
 */
import type { ArtefactRecord, Generation } from "./artefact";
import type { GenerationConfig, RunConfig } from "./config";
import type { DatasetNote, RowProblem } from "./dataset";
import type { RunEvent, ScoredSample } from "./events";
import type { LineageNode } from "./pipeline";
import type { RunRecord } from "./run";

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
  readonly problems: readonly RowProblem[];
  readonly problem_count: number;
  readonly notes: readonly DatasetNote[];
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
  readonly artefacts: readonly { readonly id: string; readonly bytes: number }[];
}

/** What a reward model says about a text. */
export interface TextReward {
  /** The logit, or the difference of the two logits (cross-entropy). */
  readonly reward: number;
  readonly probability: number;
  /** EOS included. */
  readonly tokens: number;
  readonly truncated: boolean;
}

export interface TrainBackend {
  listRuns(): Promise<RunRecord[]>;
  /** Creates and starts a run of a configuration with one stage; resolves once it is listed, not when it ends. */
  start(config: RunConfig): Promise<RunRecord>;
  /** Finishes the current step, checkpoints, releases the GPU. */
  pause(runId: string): Promise<void>;
  /**
   * Continues from the newest checkpoint (also after a reload, a crash or a lost device); where the run belongs to a
   * pipeline, that goes on with the stages after it.
   */
  resume(runId: string): Promise<void>;
  /** Ends the run for good after a last checkpoint. */
  stop(runId: string): Promise<void>;
  checkpoint(runId: string): Promise<void>;
  delete(runId: string): Promise<void>;
  /** Stored events with seq >= sinceSeq, then live ones. Returns a function that ends the subscription. */
  events(runId: string, sinceSeq: number, listener: (events: readonly RunEvent[]) => void): Promise<() => void>;
  /** Rewards of `texts` by the newest weights of a reward stage's run. */
  score(runId: string, texts: readonly string[]): Promise<TextReward[]>;
  /** All rows of a split with their rewards, unsorted. */
  scoreSplit(runId: string, split: "validation" | "test"): Promise<ScoredSample[]>;
  /** What the run has made, else (a reward stage before its end) its newest weights in Hugging Face layout: a zip. */
  exportModel(runId: string): Promise<Blob>;
  inspectDataset(reference: string): Promise<DatasetSummary>;
  inspectModel(reference: string): Promise<ModelSummary>;
  storage(): Promise<StorageUse>;
}

export interface GenerateSettings extends GenerationConfig {
  readonly seed: number;
}

export interface GeneratedText {
  readonly prompt: string;
  /** The continuation, without the prompt. */
  readonly text: string;
  /** New tokens, EOS included. */
  readonly tokens: number;
  /** Ended by itself, with EOS. */
  readonly finished: boolean;
}

/** What stages have made. Every method rejects with a NagiError, artefact.not_found {id} among them. */
export interface ArtefactBackend {
  /** Newest first. */
  listArtefacts(): Promise<ArtefactRecord[]>;
  artefact(id: string): Promise<ArtefactRecord>;
  /** Its files as a zip; their hashes are checked. Errors: storage.corrupt. */
  exportArtefact(id: string): Promise<Blob>;
  /** Its files by path, as they lie on the disk: for what is too large for a zip. Errors: as exportArtefact. */
  artefactFiles(id: string): Promise<ReadonlyMap<string, Blob>>;
  /** Errors: artefact.in_use {name, users} where another artefact, an unfinished run or a pipeline builds on it. */
  deleteArtefact(id: string): Promise<void>;
  /** The artefact itself, then all it came from, each once: models, data, down to bundled and imported references. */
  lineage(id: string): Promise<LineageNode[]>;
  /** All lines of an evaluation's generations.jsonl. */
  generations(id: string): Promise<Generation[]>;
  /**
   * Continuations of `prompts`, by a model or adapter (an artefact's id) or a base model (a reference). The same seed
   * gives the same texts. Errors: artefact.*, model.*, config.invalid, data.empty, gpu.*.
   */
  generate(model: string, prompts: readonly string[], settings: GenerateSettings): Promise<GeneratedText[]>;
  /** Rewards of `texts` by a reward model. */
  scoreArtefact(id: string, texts: readonly string[]): Promise<TextReward[]>;
}
