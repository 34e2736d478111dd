/** The ways between artefacts: where one came from, and what was built on it. */
import { NagiError } from "../../src/shared/errors";
import { type ArtefactRecord, type Generation, generation } from "../../src/shared/protocol/artefact";
import { pairsOf } from "../../src/shared/protocol/config";
import type { LineageNode } from "../../src/shared/protocol/pipeline";
import { dependants, referencesOf } from "../../src/shared/protocol/pipeline-inputs";
import { stageOf } from "../../src/shared/protocol/run";
import type { ArtefactStore } from "./artefact-store";
import type { Pipelines } from "./pipelines";
import { isWorking } from "./recovery";
import type { Runs } from "./runs";

export interface LineageParts {
  readonly artefacts: ArtefactStore;
  readonly runs: Pick<Runs, "list">;
  readonly pipelines: Pick<Pipelines, "stored">;
}

/** The artefact, then all it came from, breadth first, each once. @throws artefact.not_found {id} */
export async function lineageOf(id: string, { artefacts, runs }: LineageParts): Promise<LineageNode[]> {
  await artefacts.record(id);
  const records = new Map((await artefacts.list()).map((record) => [record.id, record]));
  const configs = new Map((await runs.list()).map((run) => [run.run_id, run.config]));
  const nodes = new Map<string, LineageNode>();
  for (const waiting = [id]; waiting.length > 0; ) {
    const next = waiting.shift() ?? "";
    if (nodes.has(next)) continue;
    const record = records.get(next) ?? null;
    const parents = record?.parents ?? [];
    nodes.set(next, { id: next, record, config: (record && configs.get(record.run_id)) ?? null, parents });
    waiting.push(...parents.map((parent) => parent.id));
  }
  return [...nodes.values()];
}

/** Names of what would miss the artefact: others built on it, runs and pipelines that still need it. */
export async function usersOf(id: string, { artefacts, runs, pipelines }: LineageParts): Promise<string[]> {
  const users: string[] = [];
  for (const { name, parents } of await artefacts.list())
    if (parents.some((parent) => parent.id === id)) users.push(name);
  for (const run of await runs.list()) {
    const unfinished = isWorking(run.state) || run.state === "paused";
    const takesIt = Object.values(run.inputs).includes(id) || pairsOf(stageOf(run)) === `artefact:${id}`;
    if (unfinished && takesIt) users.push(`${run.config.name}/${run.stage}`);
  }
  for (const { config, stages } of await pipelines.stored()) {
    const unfinished = new Set(stages.filter(({ artefact }) => artefact === null).map((stage) => stage.id));
    if (unfinished.size === 0) continue;
    const needed = stages.some(
      (stage) => stage.artefact === id && dependants(config, stage.id).some((later) => unfinished.has(later)),
    );
    if (needed || referencesOf(config).includes(`artefact:${id}`)) users.push(config.name);
  }
  return [...new Set(users)];
}

/** @throws artefact.not_found, artefact.in_use {name, users} */
export async function removeArtefact(id: string, parts: LineageParts): Promise<void> {
  const record = await parts.artefacts.record(id);
  const users = (await usersOf(id, parts)).join(", ");
  if (users !== "")
    throw new NagiError("artefact.in_use", `"${record.name}" is still needed by ${users}. Delete those first.`, {
      name: record.name,
      users,
    });
  await parts.artefacts.remove(id);
}

/** Removes the artefact where nothing else needs it. */
export async function removeUnused(id: string, parts: LineageParts): Promise<void> {
  if ((await usersOf(id, parts)).length === 0) await parts.artefacts.remove(id);
}

/** The lines of an evaluation. @throws artefact.not_found, artefact.wrong_kind, storage.corrupt {file} */
export async function readGenerations(id: string, artefacts: Pick<ArtefactStore, "open">): Promise<Generation[]> {
  const { record, files } = await artefacts.open(id);
  checkKind(record, "generations");
  const text = new TextDecoder().decode(await files.read("generations.jsonl"));
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line, index) => {
    const parsed = generation.safeParse(parse(line));
    if (parsed.success) return parsed.data;
    const file = `${record.name}/generations.jsonl, line ${index + 1}`;
    throw new NagiError("storage.corrupt", `${file} is not a generation. Run the evaluation again.`, { file });
  });
}

/** @throws artefact.wrong_kind {name, kind, accepts} */
export function checkKind(record: ArtefactRecord, kind: ArtefactRecord["kind"]): void {
  if (record.kind === kind) return;
  throw new NagiError(
    "artefact.wrong_kind",
    `"${record.name}" is of the kind ${record.kind}, needed is ${kind}. Choose another one.`,
    { name: record.name, kind: record.kind, accepts: kind },
  );
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
