/** What stages of a configuration would need on this machine: asked by the page before a run is started. */
import { NagiError } from "../../src/shared/errors";
import type { RunConfig } from "../../src/shared/protocol/config";
import type { StagePreflight } from "../../src/shared/protocol/preflight";
import type { ModelShape } from "../../src/shared/protocol/remote";
import { describeAdapter } from "../engine/gpu/capabilities";
import type { AdapterProfile } from "../engine/gpu/device";
import type { FreeBytes } from "../engine/io/checkpoint-shelf";
import { type ModelShelf, openModel, openReward } from "../engine/train/inputs";
import type { MachineFacts } from "../engine/train/preflight";
import { preflightWithOffers } from "../engine/train/preflight-offers";
import { plannedShapes, readShape } from "../engine/train/stage-shapes";

export interface PreflightTools {
  readonly shelf: ModelShelf;
  /** Of the adapter that a run would get. @throws NagiError gpu.unavailable, gpu.no_adapter */
  readonly profile: () => Promise<AdapterProfile>;
  readonly free: FreeBytes;
  /** Memory of the machine in GiB, where the browser says (it says no more than 8); undefined: it does not. */
  readonly deviceMemory: number | undefined;
  /** What the benchmark measured on this adapter; null: nothing yet. */
  readonly measured: (adapter: string) => Promise<MachineFacts["measured"]>;
}

const GIB = 2 ** 30;

/** Browsers say no more than this, whatever there is. GiB. */
const MOST_SAID = 8;

export class Preflights {
  /** An adapter does not change while the page is open. */
  #profile: Promise<AdapterProfile> | null = null;

  constructor(private readonly tools: PreflightTools) {}

  /** @see PreflightBackend.estimateStage */
  async estimate(config: RunConfig, stageId: string): Promise<StagePreflight> {
    const { shelf, free, measured } = this.tools;
    const stage = config.stages.find(({ id }) => id === stageId);
    if (stage === undefined)
      throw new NagiError("config.invalid", `${config.name}: there is no stage "${stageId}"`, {
        file: config.name,
        path: "stages",
        problem: stageId,
        allowed: config.stages.map(({ id }) => id).join(", "),
      });
    const shapes = await plannedShapes(config, stage, {
      model: (id) => openModel(id, shelf),
      reward: (id) => openReward(id, shelf),
    });
    const profile = await this.#adapter();
    const machine = {
      profile,
      memory: this.#memory(),
      storage_free: await free(),
      measured: await measured(describeAdapter(profile.info)),
    };
    return preflightWithOffers({ stage, shapes, seed: config.seed }, machine);
  }

  /** What a worker reckons memory from; null of a model that is not here: the worker knows those it loads by itself. */
  async modelShape(config: RunConfig): Promise<ModelShape | null> {
    const reference = config.model.model_name_or_path;
    if (!/^(bundled|imported):/.test(reference)) return null;
    const { model } = await openModel(reference, this.tools.shelf);
    const { hidden_size, num_hidden_layers, vocab_size, max_position_embeddings } = (await readShape(model, null))
      .config;
    return { hidden_size, num_hidden_layers, vocab_size, max_position_embeddings };
  }

  #adapter(): Promise<AdapterProfile> {
    this.#profile ??= this.tools.profile().catch((error: unknown) => {
      // Asked again with the next call: a driver may have come back.
      this.#profile = null;
      throw error;
    });
    return this.#profile;
  }

  #memory(): MachineFacts["memory"] {
    const { deviceMemory } = this.tools;
    if (deviceMemory === undefined || deviceMemory >= MOST_SAID) return null;
    return { bytes: deviceMemory * GIB, source: "device_memory" };
  }
}
