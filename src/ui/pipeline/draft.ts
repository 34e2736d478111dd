/**
 * A configuration as it is typed: numbers are texts, possibly half-written. `encode` makes a draft of a configuration,
 * `checkDraft` turns it back and says, field by field, what is wrong. The only judges are the protocol's schema and
 * `checkPipeline`.
 */
import type { z } from "zod";
import { type RunConfig, runConfig } from "../../shared/protocol/config";
import { checkPipeline, type PipelineProblem } from "../../shared/protocol/pipeline-check";
import { readNumber, writeNumber } from "../common/numbers";
import { alternatives, CONFIG_NODE, numberNode, optionsOf, type SchemaNode } from "./schema";

export type Draft = string | boolean | null | readonly Draft[] | { readonly [key: string]: Draft };
export type DraftObject = { readonly [key: string]: Draft };

export type FieldProblem = "missing" | "not_a_number" | "not_an_integer" | "out_of_range" | "too_long" | "not_allowed";

export interface CheckedDraft {
  /** null while a field is wrong or the stages do not fit together. */
  readonly config: RunConfig | null;
  /** By path: "seed", "stages.2.learning_rate". */
  readonly problems: ReadonlyMap<string, FieldProblem>;
  /** Only looked for once every field is right. */
  readonly pipeline: readonly PipelineProblem[];
}

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export function encode(value: Json): Draft {
  if (typeof value === "number") return writeNumber(value);
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map(encode);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, encode(one)]));
}

export function encodeConfig(config: RunConfig): DraftObject {
  const draft = encode(config);
  return isObject(draft) ? draft : {};
}

export function checkDraft(draft: DraftObject): CheckedDraft {
  const problems = new Map<string, FieldProblem>();
  const candidate = decode(draft, CONFIG_NODE, "", problems);
  const parsed = runConfig.safeParse(candidate);
  if (!parsed.success)
    for (const issue of parsed.error.issues) {
      const path = issue.path.join(".");
      if (!problems.has(path)) problems.set(path, problemOf(issue));
    }
  if (!parsed.success || problems.size > 0) return { config: null, problems, pipeline: [] };
  const pipeline = checkPipeline(parsed.data);
  return { config: pipeline.length === 0 ? parsed.data : null, problems, pipeline };
}

/** The value at a path such as "stages.2.peft.r"; undefined where there is none. */
export function valueAt(draft: Draft, path: string): Draft | undefined {
  let value: Draft | undefined = draft;
  for (const part of path === "" ? [] : path.split("."))
    value = isList(value) ? value[Number(part)] : isObject(value) ? value[part] : undefined;
  return value;
}

/** The draft with another value at a path; objects on the way are copied, the rest is shared. */
export function withValue(draft: DraftObject, path: string, value: Draft): DraftObject {
  const [first = "", ...rest] = path.split(".");
  const changed = replace(draft, [first, ...rest], value);
  return isObject(changed) ? changed : draft;
}

function replace(draft: Draft | undefined, path: readonly string[], value: Draft): Draft {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (isList(draft)) return draft.map((one, index) => (String(index) === part ? replace(one, rest, value) : one));
  const object = isObject(draft) ? draft : {};
  return { ...object, [part]: replace(object[part], rest, value) };
}

export function isObject(value: Draft | undefined): value is DraftObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isList<T>(value: T | readonly T[] | undefined | { readonly [key: string]: T }): value is readonly T[] {
  return Array.isArray(value);
}

function decode(draft: Draft, node: SchemaNode, path: string, problems: Map<string, FieldProblem>): Json {
  if (draft === null || typeof draft === "boolean") return draft;
  if (typeof draft === "string") return decodeText(draft, node, path, problems);
  const inside = (key: string | number) => (path === "" ? String(key) : `${path}.${key}`);
  if (isList(draft)) {
    const items = alternatives(node).find(({ type }) => type === "array")?.items ?? {};
    return draft.map((one, index) => decode(one, items, inside(index), problems));
  }
  const objects = alternatives(node).filter(({ type }) => type === "object");
  // Of a union of stages the one that the draft says it is.
  const found = objects.find(({ properties }) => properties?.stage?.const === draft.stage) ?? objects[0];
  return Object.fromEntries(
    Object.entries(draft).map(([key, one]) => [
      key,
      decode(one, found?.properties?.[key] ?? {}, inside(key), problems),
    ]),
  );
}

function decodeText(text: string, node: SchemaNode, path: string, problems: Map<string, FieldProblem>): Json {
  if (optionsOf(node).includes(text) || numberNode(node) === undefined) return text;
  const value = readNumber(text);
  if (value === null) problems.set(path, text.trim() === "" ? "missing" : "not_a_number");
  return value ?? Number.NaN;
}

function problemOf(issue: z.core.$ZodIssue): FieldProblem {
  switch (issue.code) {
    case "too_small":
      return issue.origin === "string" || issue.origin === "array" ? "missing" : "out_of_range";
    case "too_big":
      return issue.origin === "string" ? "too_long" : "out_of_range";
    case "invalid_type":
      return issue.expected === "int" ? "not_an_integer" : "not_a_number";
    default:
      return "not_allowed";
  }
}
