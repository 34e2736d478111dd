/** What a stage will need on this machine, known from its settings and the models' config.json alone: nothing is loaded. */
import type { GenerationConfig, LoraConfig, RunConfig } from "./config";

/** What a buffer is for; the parts of the bar on the card, in this order. */
export const PREFLIGHT_PARTS = [
  "weights",
  "gradients",
  "optimizer",
  "activations",
  "cache",
  "reward_model",
  "other",
] as const;
export type PreflightPart = (typeof PREFLIGHT_PARTS)[number];

export interface PreflightBuffer {
  /** As the GPU knows it ("weights 0", "activations 3"), with its owner where that is not the trainer. No two alike. */
  readonly label: string;
  readonly part: PreflightPart;
  readonly bytes: number;
}

/**
 * limit: above what the adapter grants (maxBufferSize, maxStorageBufferBindingSize, ...). memory: above what this machine
 * is known to have. storage: checkpoints and result above what this site is still granted.
 */
export interface PreflightProblem {
  readonly kind: "limit" | "memory" | "storage";
  /** Of limits: the buffer, binding or dispatch. */
  readonly what: string;
  /** Bytes, or (a limit on workgroups) a number. */
  readonly needed: number;
  readonly granted: number;
  /** false: `granted` is an estimate, so it is said and the run may start. */
  readonly refuses: boolean;
}

/** Ways to need less, from those that change the least. */
export const OFFER_CODES = [
  "gradient_checkpointing",
  "smaller_batch",
  "shorter_context",
  "lora",
  "fewer_texts",
  "shorter_texts",
  "lora_and_checkpointing",
  "all",
] as const;
export type OfferCode = (typeof OFFER_CODES)[number];

/** A change with which the stage fits: asked again with it, nothing refuses. */
export interface PreflightOffer {
  readonly code: OfferCode;
  /** The changed settings: fields of the stage. */
  readonly changes: Readonly<Record<string, number | boolean | LoraConfig | GenerationConfig>>;
  readonly total_bytes: number;
}

/** How long a step takes, from what the benchmark measured on this adapter. */
export interface StepEstimate {
  /** Work of the largest optimizer step (PPO: update) there can be, padding included. */
  readonly flops: number;
  /** null: nothing was measured on this adapter yet. */
  readonly milliseconds: number | null;
  /** Of the measurement: milliseconds since 1970. */
  readonly measured_at: number | null;
}

export interface StagePreflight {
  readonly stage: string;
  /** Nothing refuses. */
  readonly fits: boolean;
  readonly adapter: string;
  /** GPU memory at its peak; where a limit is in the way, without that limit. Bytes. */
  readonly total_bytes: number;
  readonly parts: readonly { readonly part: PreflightPart; readonly bytes: number }[];
  /** Every buffer at the peak, largest first. */
  readonly buffers: readonly PreflightBuffer[];
  readonly largest_buffer: { readonly label: string; readonly bytes: number };
  /** Largest range that one dispatch binds. */
  readonly largest_binding: { readonly label: string; readonly bytes: number };
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
  /** What there is, where that is known. null: a GPU does not say. */
  readonly memory: { readonly bytes: number; readonly source: "system" | "device_memory" } | null;
  readonly parameters: number;
  readonly trainable_parameters: number;
  /** Weights as the model's files hold them. Bytes. */
  readonly model_bytes: number;
  /** One checkpoint on the disk, and how many are kept at a time; null: the stage makes none. */
  readonly checkpoint: { readonly bytes: number; readonly kept: number } | null;
  /** What the stage leaves behind. Bytes, about. */
  readonly output_bytes: number;
  /** What storage still grants; null: unknown. Bytes. */
  readonly storage_free: number | null;
  readonly step: StepEstimate | null;
  readonly problems: readonly PreflightProblem[];
  /** Only where something refuses or is said to be too much. */
  readonly offers: readonly PreflightOffer[];
}

export interface PreflightBackend {
  /**
   * What a stage of a configuration needs on this machine's GPU and disk. Nothing is loaded or allocated. Errors: gpu.*
   * where there is no adapter, model.*, artefact.*, config.invalid.
   */
  estimateStage(config: RunConfig, stage: string): Promise<StagePreflight>;
}
