/** Where a stage runs and how: kept with the pipeline, not in the RunConfig, which says what is done and not by whom. */
import { z } from "zod";
import { stageId } from "./stages";

export const launcher = z.enum(["local", "accelerate", "ray"]);
export const precision = z.enum(["float32", "float16", "bfloat16"]);
export const quantization = z.enum(["8bit", "4bit"]);
export const strategy = z.enum(["ddp", "fsdp", "zero2", "zero3"]);
export const trackerName = z.enum(["wandb", "tensorboard", "trackio"]);

/** Arguments of wandb.init, by its names. The API key stays on the worker. */
export const wandbSettings = z.strictObject({
  project: z.string().min(1).max(128),
  /** Name of the W&B run; null: W&B draws one. */
  name: z.string().min(1).max(128).nullable(),
  entity: z.string().min(1).max(128).nullable(),
  tags: z.array(z.string().min(1).max(64)).max(32),
  group: z.string().min(1).max(128).nullable(),
  mode: z.enum(["online", "offline", "disabled"]),
});

export const trackingConfig = z.strictObject({
  trackers: z.array(trackerName).min(1).max(3),
  /** null where "wandb" is not among the trackers. */
  wandb: wandbSettings.nullable(),
});

/** How the worker runs a stage. */
export const launchConfig = z.strictObject({
  /** local: one process. accelerate: several on one host. ray: a job on a cluster. */
  launcher,
  num_processes: z.int().min(1).max(1024),
  /** What several processes do with weights, gradients and moments. */
  strategy,
  /** Of the frozen weights and of the matmuls. */
  precision,
  quantization: quantization.nullable(),
  gradient_checkpointing: z.boolean(),
  /** `ray://HOST:10001` or `auto`; null where the launcher is not ray. */
  ray_address: z.string().min(1).max(300).nullable(),
  tracking: trackingConfig.nullable(),
  /** Of a PPO stage: rloo is trl's RLOOTrainer. null elsewhere. */
  algorithm: z.enum(["ppo", "rloo"]).nullable(),
});

/**
 * Of a stage. worker: `worker` is the id of one that this browser knows. browser: as always, its figures also going to a
 * worker's trackers.
 */
export const stagePlace = z.discriminatedUnion("at", [
  z.strictObject({ at: z.literal("worker"), worker: z.string().min(1).max(100), launch: launchConfig }),
  z.strictObject({ at: z.literal("browser"), worker: z.string().min(1).max(100), tracking: trackingConfig }),
]);

/** By stage; one that is missing runs in the browser. */
export const stagePlaces = z.record(stageId, stagePlace);

export type LaunchConfig = z.infer<typeof launchConfig>;
export type TrackingConfig = z.infer<typeof trackingConfig>;
export type WandbSettings = z.infer<typeof wandbSettings>;
export type TrackerName = z.infer<typeof trackerName>;
export type StagePlace = z.infer<typeof stagePlace>;
export type StagePlaces = z.infer<typeof stagePlaces>;

/** One process in float32, followed by no tracker: runs everywhere. */
export const DEFAULT_LAUNCH: LaunchConfig = {
  launcher: "local",
  num_processes: 1,
  strategy: "ddp",
  precision: "float32",
  quantization: null,
  gradient_checkpointing: false,
  ray_address: null,
  tracking: null,
  algorithm: null,
};

export const DEFAULT_WANDB: WandbSettings = {
  project: "nagi",
  name: null,
  entity: null,
  tags: [],
  group: null,
  mode: "online",
};

/** The id of the worker that does the stage, null in the browser. */
export const workerOf = (place: StagePlace | null | undefined): string | null =>
  place?.at === "worker" ? place.worker : null;
