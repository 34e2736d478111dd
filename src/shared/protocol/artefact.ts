/**
 * What a stage leaves behind for others: a record of a few hundred bytes beside its files. The id is the SHA-256 of the
 * record's content, which names every file by its hash and every parent by its id: from a generated text one gets to
 * model, configuration, data and seed, and nothing on the way can be exchanged unnoticed.
 */
import { z } from "zod";
import { stageConfig } from "./stages";

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * adapter: PEFT's layout (adapter_config.json, adapter_model.safetensors). model, reward_model: Hugging Face's, with the
 * tokenizer; a reward model trained by LoRA is stored merged. generations: generations.jsonl and evaluation.json.
 * preferences: preferences.jsonl of {prompt, chosen, rejected}.
 */
export const artefactKind = z.enum(["adapter", "model", "reward_model", "generations", "preferences"]);

export const artefactFile = z.strictObject({
  /** Relative, "/" between folders. */
  path: z.string().min(1).max(255),
  bytes: z.int().min(0),
  sha256,
});

export const artefactParent = z.strictObject({
  /** The stage's setting that named it: "model", "reward_model", "models.1", "data.train", ... */
  slot: z.string().min(1),
  /** An artefact's id, or a reference such as `bundled:nagi-base`. */
  id: z.string().min(1),
});

const content = {
  kind: artefactKind,
  name: z.string().min(1).max(200),
  /** Milliseconds since the Unix epoch. */
  created: z.number(),
  files: z.array(artefactFile).min(1),
  parents: z.array(artefactParent),
  run_id: z.string().min(1),
  /** The settings that made it; null where people made it (votes). */
  stage: stageConfig.nullable(),
  seed: z.int().min(0),
};

/** What is hashed: everything but the id. */
export const artefactManifest = z.strictObject(content);

export const artefactRecord = z.strictObject({
  /** `artefactId` of the rest. */
  id: sha256,
  ...content,
});

/** A line of generations.jsonl: one text by one model. */
export const generation = z.strictObject({
  /** Number of the prompt; the same for every model. */
  item: z.int().min(0),
  prompt: z.string(),
  /** Slot of the model that wrote it, as in the stage's `models`. */
  model: z.string(),
  /** The continuation, without the prompt. */
  text: z.string(),
  /** New tokens, EOS included. */
  tokens: z.int().min(0),
  /** Ended by itself, with EOS. */
  finished: z.boolean(),
  /** Reward of prompt and continuation, by reward model. */
  rewards: z.record(z.string(), z.number().nullable()),
  /** sum over the new tokens of log p(model) - log p(first model), in nats; null where not computed. */
  kl: z.number().nullable(),
  /** Characters of the continuation. */
  length: z.int().min(0),
});

/** A line of a file of pairs. */
export const preferencePair = z.strictObject({ prompt: z.string(), chosen: z.string(), rejected: z.string() });

export type ArtefactKind = z.infer<typeof artefactKind>;
export type ArtefactFile = z.infer<typeof artefactFile>;
export type ArtefactParent = z.infer<typeof artefactParent>;
export type ArtefactManifest = z.infer<typeof artefactManifest>;
export type ArtefactRecord = z.infer<typeof artefactRecord>;
export type Generation = z.infer<typeof generation>;
export type PreferencePair = z.infer<typeof preferencePair>;

/** SHA-256 in hex. `crypto.subtle` is in pages, workers and Node alike. */
export async function hashBytes(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The same manifest has the same id, in whatever order its fields were written. */
export function artefactId(manifest: ArtefactManifest): Promise<string> {
  const text = JSON.stringify(sorted(artefactManifest.parse(manifest)));
  return hashBytes(new TextEncoder().encode(text));
}

/** Hashes the files and the manifest. */
export async function describeArtefact(
  files: ReadonlyMap<string, Uint8Array>,
  facts: Omit<ArtefactManifest, "files">,
): Promise<ArtefactRecord> {
  const listed: ArtefactFile[] = [];
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    listed.push({ path, bytes: bytes.length, sha256: await hashBytes(bytes) });
  const manifest = { ...facts, files: listed };
  return { id: await artefactId(manifest), ...manifest };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}
