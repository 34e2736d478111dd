/** Base models on this machine: bundled ones by name, imported folders in OPFS under models/ID/. */
import { BUNDLED_MODELS } from "../../src/shared/bundled";
import type { ModelCredit } from "../../src/shared/credit";
import { NagiError } from "../../src/shared/errors";
import type { ModelSummary } from "../../src/shared/protocol/backend";
import { type ModelEntry, type ModelImport, modelEntry } from "../../src/shared/protocol/library";
import { loadTokenizer } from "../engine/data/tokenizer";
import type { FreeBytes } from "../engine/io/checkpoint-shelf";
import { checkTensors, describeModel, readTokenizerFiles, TOKENIZER_FILES } from "../engine/io/hf-model";
import { CARD, CREDIT, LICENSE_FILES, readCredit } from "../engine/io/model-card";
import { type Folder, piecesOf } from "../engine/io/opfs";
import { BlobSource, type FileSource } from "../engine/io/source";
import { parseNeoxConfig } from "../engine/model/neox-config";
import { countParameters, neoxParameterShapes, SCORE } from "../engine/model/shapes";
import type { Sources } from "./sources";

/** In a model's folder: what is listed, once its files are there and checked. */
export const ENTRY = "entry.json";
/** In its place while the files still come from a hub. */
export const DOWNLOAD = "download.json";

export class ModelLibrary {
  constructor(
    private readonly folder: Folder,
    private readonly sources: Pick<Sources, "model">,
    private readonly free: FreeBytes,
  ) {}

  /** Bundled ones first, then the newest. */
  async list(): Promise<ModelEntry[]> {
    const imported: ModelEntry[] = [];
    for (const { name } of await this.folder.entries()) {
      const entry = await (await this.folder.find(name))?.readJson(ENTRY, modelEntry);
      if (entry) imported.push(entry);
    }
    return [...BUNDLED_MODELS, ...imported.sort((a, b) => b.created - a.created)];
  }

  /** Streams the model's files to storage and checks them there; a model that is not usable leaves nothing behind. */
  async import(request: ModelImport): Promise<ModelEntry> {
    await this.#removeUnfinished();
    const files = neededFiles(request.files);
    const credit = await creditOfFiles(request.name, files);
    const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
    const available = await this.free();
    if (available !== null && available < bytes) {
      throw new NagiError(
        "storage.quota",
        `The model needs ${bytes} bytes, but the browser grants only ${available} more to this site. Delete old runs or free disk space.`,
        { needed: bytes, available },
      );
    }
    const id = newModelId(request.name);
    const entry: ModelEntry = {
      id,
      name: request.name,
      source: "imported",
      reference: `imported:${id}`,
      files: withCredit(files.map(({ path }) => path)),
      bytes,
      created: Date.now(),
      origin: null,
      credit,
    };
    const folder = await this.folder.folder(id);
    try {
      for (const { path, file } of files) await folder.write(path, piecesOf(file));
      await writeCredit(folder, credit);
      await checkModel(await this.sources.model(entry.reference));
      await folder.writeJson(ENTRY, entry);
    } catch (error) {
      await this.folder.remove(id);
      throw error;
    }
    return entry;
  }

  async delete(id: string): Promise<void> {
    await this.folder.remove(id);
  }

  /** @throws model.* */
  async inspect(reference: string): Promise<ModelSummary> {
    const name = (await this.list()).find((entry) => entry.reference === reference)?.name ?? reference;
    return checkModel(await this.sources.model(reference), name);
  }

  /** Folders without an entry: imports that a closed tab cut short. Downloads go on and stay. */
  async #removeUnfinished(): Promise<void> {
    for (const { name } of await this.folder.entries()) {
      const folder = await this.folder.find(name);
      if (folder !== null && (await folder.file(DOWNLOAD)) !== null) continue;
      if (!(await folder?.readJson(ENTRY, modelEntry))) await this.folder.remove(name);
    }
  }
}

export const withCredit = (paths: readonly string[]): string[] => [...new Set([...paths, CREDIT])].sort();

function creditOfFiles(name: string, files: ModelImport["files"]): Promise<ModelCredit> {
  const found = new BlobSource(name, new Map(files.map(({ path, file }) => [path, file])));
  return readCredit(found);
}

/** The credit goes where the model goes: to workers, and into what is made of it. */
export async function writeCredit(folder: Folder, credit: ModelCredit): Promise<void> {
  await folder.write(CREDIT, [new TextEncoder().encode(`${JSON.stringify(credit, null, 2)}\n`)]);
}

/**
 * The files that a model is made of, out of everything in a folder: config, tokenizer, card, licence, weights; of two
 * formats the safer one. The shallowest config.json decides where the model's folder is (a dropped folder may hold it one level down).
 * @throws model.file_missing
 */
export function neededFiles<T extends { readonly path: string }>(files: readonly T[]): T[] {
  const configs = files
    .map(({ path }) => path)
    .filter((path) => path === "config.json" || path.endsWith("/config.json"));
  configs.sort((a, b) => a.split("/").length - b.split("/").length || (a < b ? -1 : 1));
  const [config] = configs;
  if (config === undefined) {
    const found =
      files
        .slice(0, 20)
        .map(({ path }) => path)
        .join(", ") || "nothing";
    throw new NagiError(
      "model.file_missing",
      `There is no config.json among the chosen files (found: ${found}). Choose the folder that holds config.json and the weights.`,
      { file: "config.json", source: "the chosen files", found },
    );
  }
  const folder = config.slice(0, -"config.json".length);
  const inside = files
    .filter(({ path }) => path.startsWith(folder) && !path.slice(folder.length).includes("/"))
    .map((file) => ({ ...file, path: file.path.slice(folder.length) }));
  const safetensors = inside.some(({ path }) => /^model.*\.safetensors$/.test(path));
  const weights = safetensors ? /^model.*\.safetensors(\.index\.json)?$/ : /^pytorch_model.*\.bin(\.index\.json)?$/;
  const about = [CARD, CREDIT, ...LICENSE_FILES];
  const others = new Set<string>(["config.json", "generation_config.json", ...TOKENIZER_FILES, ...about]);
  return inside.filter(({ path }) => others.has(path) || weights.test(path));
}

/** Reads config, tensor headers and tokenizer, none of the weights. @throws model.* */
export async function checkModel(source: FileSource, name = source.name): Promise<ModelSummary> {
  const description = await describeModel(source);
  const config = parseNeoxConfig(description.configJson);
  const shapes = neoxParameterShapes(config, { kind: "reward", num_labels: config.num_labels ?? 1 });
  // Heads may be missing: training draws a score head, and a reward model has no output embedding.
  checkTensors(
    description,
    [...shapes].map(([tensor, shape]) => ({ name: tensor, shape, optional: tensor === SCORE })),
  );
  await loadTokenizer(await readTokenizerFiles(source));
  const stored = new Map([...description.stored].map(([tensor, { shape }]) => [tensor, shape]));
  return {
    name,
    parameters: countParameters(stored),
    hidden_size: config.hidden_size,
    num_hidden_layers: config.num_hidden_layers,
    num_attention_heads: config.num_attention_heads,
    vocab_size: config.vocab_size,
    max_position_embeddings: config.max_position_embeddings,
    dtype: description.dtype,
    bytes: description.bytes,
  };
}

/** A new folder's name, which is part of a reference: readable, and nobody else's. */
export function newModelId(name: string): string {
  const plain = name
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .replace(/^[-.]+|[-.]+$/g, "");
  return `${plain.slice(0, 60) || "model"}-${crypto.randomUUID().slice(0, 8)}`;
}
