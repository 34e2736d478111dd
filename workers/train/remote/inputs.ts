/**
 * Brings what a stage takes in to the worker that will run it: artefacts, base models and rows, each by its hash, so that
 * nothing is sent twice, and what was cut short goes on where it stopped.
 */
import { NagiError } from "../../../src/shared/errors";
import { type ArtefactFile, type ArtefactRecord, artefactId, hashBytes } from "../../../src/shared/protocol/artefact";
import { dataOf, pairsOf } from "../../../src/shared/protocol/config";
import type { RemoteData, StartCommand } from "../../../src/shared/protocol/remote";
import { type RunRecord, stageOf } from "../../../src/shared/protocol/run";
import { parseDataset } from "../../engine/data/formats";
import { parsePreferences } from "../../engine/data/preferences";
import { hashFile } from "../../engine/io/hash";
import { describeModel } from "../../engine/io/hf-model";
import { LICENSE_FILES } from "../../engine/io/model-card";
import { type FileSource, MapSource } from "../../engine/io/source";
import { loadWeights } from "../../engine/train/base";
import { isArtefactId, type ModelShelf } from "../../engine/train/inputs";
import { languageModelFiles } from "../../engine/train/output";
import type { DataFile } from "../../engine/train/stage";
import { uploadBlob } from "./transfer";
import type { RemoteWorker } from "./worker";

/** What a worker loads by itself. */
const HUB = /^(hub|local):/;

export interface InputTools {
  readonly shelf: ModelShelf;
  readonly artefacts: {
    record(id: string): Promise<ArtefactRecord>;
    /** Their hashes checked; fetched first where they are on a worker. */
    files(id: string): Promise<ReadonlyMap<string, Blob>>;
  };
  readonly data: (reference: string) => Promise<DataFile>;
}

export interface PushOptions {
  readonly signal: AbortSignal;
  readonly runId: string;
}

/** The inputs and data of a stage, all of it on the worker. @throws artefact.*, model.*, data.*, storage.*, worker.* */
export async function pushInputs(
  worker: RemoteWorker,
  record: Pick<RunRecord, "config" | "stage" | "inputs">,
  tools: InputTools,
  options: PushOptions,
): Promise<Pick<StartCommand, "inputs" | "data">> {
  const push = new Push(worker, tools, options);
  const inputs: Record<string, string> = {};
  for (const [slot, id] of Object.entries(record.inputs)) {
    inputs[slot] = await push.model(id);
    const base = await baseOf(id, tools);
    if (base !== null) inputs[`${slot}.base`] = await push.model(base);
  }
  return { inputs, data: await push.data(record) };
}

/** What an adapter was trained on; null of everything else. @throws artefact.not_found */
async function baseOf(id: string, { artefacts }: InputTools): Promise<string | null> {
  if (!isArtefactId(id)) return null;
  const { kind, parents } = await artefacts.record(id);
  return kind === "adapter" ? (parents.find(({ slot }) => slot === "model")?.id ?? null) : null;
}

class Push {
  constructor(
    private readonly worker: RemoteWorker,
    private readonly tools: InputTools,
    private readonly options: PushOptions,
  ) {}

  /** The worker's name for a model: an artefact's id, or a reference it resolves itself. */
  async model(id: string): Promise<string> {
    if (HUB.test(id)) return id;
    if (isArtefactId(id)) {
      const record = await this.tools.artefacts.record(id);
      await this.#artefact(record, async () => blobsOf(await this.tools.artefacts.files(id)));
      return id;
    }
    const source = await readable(await this.tools.shelf.reference(id));
    const record = await referenceRecord(id, source);
    await this.#artefact(record, async () => source);
    return record.id;
  }

  async data({ config, stage: stageId }: Pick<RunRecord, "config" | "stage">): Promise<RemoteData> {
    const stage = stageOf({ config, stage: stageId });
    const { train, validation, test } = dataOf(config, stage);
    const pairs = pairsOf(stage);
    return {
      train: await this.#rows(train),
      validation: await this.#rows(validation),
      test: test === null ? null : await this.#rows(test),
      pairs: pairs === null ? null : await this.#pairs(pairs),
    };
  }

  async #artefact(record: ArtefactRecord, open: () => Promise<FileSource>): Promise<void> {
    const { signal, runId } = this.options;
    const put = () => this.worker.ask<"put_artefact">({ name: "put_artefact", record }, { patient: true, signal });
    const missing = new Set((await put()).missing);
    if (missing.size === 0) return;
    const source = await open();
    const files = record.files.filter(({ sha256 }) => missing.has(sha256));
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const shown = this.worker.transfer({ direction: "up", name: record.name, run_id: runId, total });
    try {
      let before = 0;
      for (const { path, sha256, bytes } of files) {
        const blob = { sha256, bytes, read: (start: number, end: number) => source.read(path, start, end) };
        await uploadBlob(this.worker, blob, (done) => shown.advance(before + done), { patient: true, signal });
        before += bytes;
      }
    } finally {
      shown.end();
    }
    const left = (await put()).missing;
    if (left.length === 0) return;
    throw new NagiError("storage.corrupt", `${record.name} did not arrive at the worker. Run the stage again.`, {
      file: record.name,
    });
  }

  async #rows(reference: string): Promise<string> {
    const { name, bytes } = await this.tools.data(reference);
    const { rows } = parseDataset(bytes, name, { requireBothLabels: false });
    const line = ({ sentence, label, review_id }: (typeof rows)[number]) => ({ sentence, label, review_id });
    return this.#lines(name, rows.map(line));
  }

  async #pairs(reference: string): Promise<string> {
    const { name, bytes } = await this.tools.data(reference);
    return this.#lines(name, parsePreferences(bytes, name));
  }

  async #lines(name: string, lines: readonly object[]): Promise<string> {
    const { signal, runId } = this.options;
    const bytes = new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const sha256 = await hashBytes(bytes);
    const shown = this.worker.transfer({ direction: "up", name, run_id: runId, total: bytes.length });
    try {
      const blob = {
        sha256,
        bytes: bytes.length,
        read: async (start: number, end: number) => bytes.subarray(start, end),
      };
      await uploadBlob(this.worker, blob, shown.advance, { patient: true, signal });
    } finally {
      shown.end();
    }
    return sha256;
  }
}

function blobsOf(files: ReadonlyMap<string, Blob>): FileSource {
  const file = (path: string): Blob => {
    const found = files.get(path);
    if (found === undefined) throw new NagiError("storage.corrupt", `${path} is missing.`, { file: path });
    return found;
  };
  return {
    name: "artefact",
    list: async () => [...files.keys()].sort(),
    size: async (path) => file(path).size,
    read: async (path, start = 0, end = Number.POSITIVE_INFINITY) =>
      new Uint8Array(
        await file(path)
          .slice(start, Math.min(end, file(path).size))
          .arrayBuffer(),
      ),
  };
}

const CONVERTED = { kind: "model", change: "The weights are the same, stored as safetensors." } as const;

/** Workers never unpickle: weights in PyTorch's own format are sent as safetensors. @throws model.* */
async function readable(source: FileSource): Promise<FileSource> {
  const paths = await source.list();
  if (!paths.some((path) => path.endsWith(".bin"))) return source;
  const base = await loadWeights(source, { kind: "causal-lm" });
  const { dtype } = await describeModel(source);
  const kept = dtype === "F16" || dtype === "BF16" ? dtype : "F32";
  return new MapSource(source.name, await languageModelFiles(base, base.tensors, CONVERTED, kept));
}

/** A base model as an artefact: the same files have the same id from whatever browser they come. */
async function referenceRecord(reference: string, source: FileSource): Promise<ArtefactRecord> {
  const files: ArtefactFile[] = [];
  for (const path of await source.list()) {
    // Workers take files of known names only; what a licence file says is in nagi_credit.json.
    if (LICENSE_FILES.some((name) => name === path)) continue;
    files.push({ path, bytes: await source.size(path), sha256: await hashFile(source, path) });
  }
  const manifest = {
    kind: "model" as const,
    name: reference,
    created: 0,
    files,
    parents: [],
    run_id: "base",
    stage: null,
    seed: 0,
  };
  return { id: await artefactId(manifest), ...manifest };
}
