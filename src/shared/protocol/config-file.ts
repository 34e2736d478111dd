/**
 * A run's configuration as a JSON file, for the studio and the command line alike, with `--set PATH=VALUE` overrides: missing fields come from the defaults, everything
 * else must be what the schema says. Errors name the field, what it may hold and the nearest known name.
 */
import { z } from "zod";
import { NagiError } from "../errors";
import { type RunConfig, runConfig, type StageConfig, stageConfig } from "./config";
import { DEFAULT_RUN, defaultStage } from "./defaults";
import { nearNames } from "./near";
import { checkPipeline } from "./pipeline-check";

type Json = null | boolean | number | string | Json[] | JsonObject;
interface JsonObject {
  [key: string]: Json;
}

/** The part of JSON Schema that zod's number, string, enum, object, array and union types turn into. */
interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly (string | number | null)[];
  readonly const?: string | number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

const SCHEMA = z.toJSONSchema(runConfig) as Schema;

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The alternatives of a union, or the schema itself. */
const alternatives = (schema: Schema): readonly Schema[] => schema.anyOf ?? schema.oneOf ?? [schema];

/** Schema of one field of an object or one element of an array; undefined where there is none. */
function child(schema: Schema, key: string): Schema | undefined {
  for (const option of alternatives(schema)) {
    const property = option.properties && Object.hasOwn(option.properties, key) ? option.properties[key] : undefined;
    if (property) return property;
    if (option.items && /^\d+$/.test(key) && Number(key) < (option.maxItems ?? Number.POSITIVE_INFINITY))
      return option.items;
  }
  return undefined;
}

/** Every path that `--set` accepts, in the notation of the command line. */
function knownPaths(schema: Schema = SCHEMA, prefix = ""): string[] {
  const paths: string[] = [];
  for (const option of alternatives(schema)) {
    for (const [key, property] of Object.entries(option.properties ?? {})) {
      const path = prefix ? `${prefix}.${key}` : key;
      paths.push(path, ...knownPaths(property, path));
    }
    if (option.items) paths.push(`${prefix}.0`, ...knownPaths(option.items, `${prefix}.0`));
  }
  return [...new Set(paths)];
}

/** What a field may hold, in words. */
function allowed(schema: Schema): string {
  const words = alternatives(schema).map((option) => {
    if (option.const !== undefined) return JSON.stringify(option.const);
    if (option.enum) return option.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (option.type === "number" || option.type === "integer") {
      const bounds: string[] = [];
      if (option.exclusiveMinimum !== undefined) bounds.push(`above ${option.exclusiveMinimum}`);
      else if (option.minimum !== undefined && option.minimum > Number.MIN_SAFE_INTEGER)
        bounds.push(`at least ${option.minimum}`);
      if (option.exclusiveMaximum !== undefined) bounds.push(`below ${option.exclusiveMaximum}`);
      else if (option.maximum !== undefined && option.maximum < Number.MAX_SAFE_INTEGER)
        bounds.push(`at most ${option.maximum}`);
      const noun = option.type === "integer" ? "a whole number" : "a number";
      return bounds.length ? `${noun} ${bounds.join(" and ")}` : noun;
    }
    if (option.type === "string")
      return `a text of ${option.minLength ?? 0} to ${option.maxLength ?? "any number of"} characters`;
    if (option.type === "object") return `an object with ${Object.keys(option.properties ?? {}).join(", ")}`;
    if (option.type === "array") return "a list";
    return option.type ?? "anything";
  });
  return words.join(", or ");
}

/** "stages[0].x" and "stages.0.x" alike. */
const splitPath = (path: string): string[] => path.replace(/\[(\d+)\]/g, ".$1").split(".");

function schemaAt(segments: readonly string[]): Schema | undefined {
  let schema: Schema | undefined = SCHEMA;
  for (const segment of segments) schema = schema && child(schema, segment);
  return schema;
}

/**
 * The value of an override: JSON where it parses as such, else the text itself. A field that only takes texts gets the
 * text even where it would parse (`name=7`).
 */
function overrideValue(text: string, schema: Schema): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return text;
  }
  const onlyText = alternatives(schema).every((option) => option.type === "string" && !option.enum);
  return onlyText && typeof value !== "string" ? text : value;
}

/** Throws config.unknown_path {path, near}. */
function applyOverride(config: JsonObject, override: string): void {
  const equals = override.indexOf("=");
  if (equals < 1)
    throw new NagiError("config.invalid", `--set ${override}: write --set PATH=VALUE, for instance --set seed=7`, {
      file: "--set",
      path: override,
      problem: "no PATH=VALUE",
      allowed: "PATH=VALUE",
    });
  const path = override.slice(0, equals);
  const segments = splitPath(path);
  const schema = schemaAt(segments);
  if (!schema) {
    const near = nearNames(segments.join("."), knownPaths());
    throw new NagiError(
      "config.unknown_path",
      `--set ${path}: the configuration has no such field. Near names: ${near.join(", ")}`,
      { path, near: near.join(", ") },
    );
  }
  let target: JsonObject | Json[] = config;
  for (const [index, segment] of segments.entries()) {
    if (index === segments.length - 1) setKey(target, segment, overrideValue(override.slice(equals + 1), schema));
    else target = descend(target, segment, /^\d+$/.test(segments[index + 1] ?? ""));
  }
}

function setKey(target: JsonObject | Json[], key: string, value: Json): void {
  if (Array.isArray(target)) target[Number(key)] = value;
  else target[key] = value;
}

/** The container under `key`, created where the file left it out or held something else. */
function descend(target: JsonObject | Json[], key: string, list: boolean): JsonObject | Json[] {
  const present = Array.isArray(target) ? target[Number(key)] : target[key];
  if (Array.isArray(present) || isObject(present)) return present;
  const made: JsonObject | Json[] = list ? [] : {};
  setKey(target, key, made);
  return made;
}

/** Fills what is missing, field by field; leaves unknown fields for the schema to refuse. */
function withDefaults(raw: JsonObject): JsonObject {
  const fill = (given: Json | undefined, defaults: JsonObject): Json =>
    given === undefined ? defaults : isObject(given) ? { ...defaults, ...given } : given;
  const data: Json | undefined = raw.data;
  // Whoever brings training rows of their own and names no test rows has none: the bundled ones are of another kind.
  const ownRows = isObject(data) && data.train !== undefined && data.test === undefined;
  const stages = raw.stages === undefined ? [{}] : raw.stages;
  return {
    ...raw,
    name: raw.name ?? DEFAULT_RUN.name,
    seed: raw.seed ?? DEFAULT_RUN.seed,
    model: fill(raw.model, { ...DEFAULT_RUN.model }),
    data: fill(data, ownRows ? { ...DEFAULT_RUN.data, test: null } : { ...DEFAULT_RUN.data }),
    stages: Array.isArray(stages) ? filledStages(stages) : stages,
  };
}

/**
 * Stages with what they leave out: a stage without a name is a reward stage; one without id or slots gets those it would
 * have been given had it been added in the studio.
 */
function filledStages(given: readonly Json[]): Json[] {
  const earlier: StageConfig[] = [];
  return given.map((raw) => {
    const stage = raw ?? {};
    if (!isObject(stage)) return stage;
    const kind = stageConfig.options.map(({ shape }) => shape.stage.value).find((name) => name === stage.stage);
    if (stage.stage !== undefined && kind === undefined) return stage;
    const filled: JsonObject = { ...defaultStage(kind ?? "reward", earlier), ...stage };
    const parsed = stageConfig.safeParse(filled);
    if (parsed.success) earlier.push(parsed.data);
    return filled;
  });
}

const show = (value: unknown): string => (value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value)));

function valueAt(config: JsonObject, path: readonly PropertyKey[]): Json | undefined {
  let value: Json | undefined = config;
  for (const key of path) {
    if (Array.isArray(value)) value = value[Number(key)];
    else if (isObject(value)) value = value[String(key)];
    else return undefined;
  }
  return value;
}

interface Problem {
  readonly path: string;
  readonly problem: string;
  readonly allowed: string;
}

function problems(config: JsonObject, error: z.ZodError): Problem[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys") {
      const schema = schemaAt(path) ?? SCHEMA;
      const names = alternatives(schema).flatMap((option) => Object.keys(option.properties ?? {}));
      return issue.keys.map((key) => ({
        path: [...path, key].join("."),
        problem: `unknown field; did you mean ${nearNames(key, names, 2).join(" or ")}?`,
        allowed: names.join(", "),
      }));
    }
    const value = valueAt(config, path);
    const schema = schemaAt(path);
    return [
      {
        path: path.join(".") || "(the file)",
        problem: `cannot be ${show(value)}`,
        allowed: schema ? allowed(schema) : issue.message,
      },
    ];
  });
}

function notAnObject(file: string, problem: string, cause?: unknown): NagiError {
  return new NagiError(
    "config.invalid",
    `${file}: ${problem}. A run's configuration is a JSON object; examples/reward.json shows every field.`,
    { file, path: "(the file)", problem, allowed: "a JSON object" },
    { cause },
  );
}

/**
 * Reads a configuration: JSON `text` of `file` (named in errors), then the overrides `PATH=VALUE` in order, then the
 * defaults for what is still missing.
 * Throws config.invalid {file, path, problem, allowed} (the message lists every wrong field) and config.unknown_path
 * {path, near}.
 */
export function parseRunConfig(text: string, file: string, overrides: readonly string[] = []): RunConfig {
  let raw: Json;
  try {
    raw = JSON.parse(text) as Json;
  } catch (cause) {
    throw notAnObject(file, `not JSON (${cause instanceof Error ? cause.message : String(cause)})`, cause);
  }
  if (!isObject(raw)) throw notAnObject(file, `holds ${show(raw).slice(0, 40)}`);
  for (const override of overrides) applyOverride(raw, override);
  const filled = withDefaults(raw);
  const parsed = runConfig.safeParse(filled);
  const found = parsed.success ? misfits(parsed.data) : problems(filled, parsed.error);
  const [first] = found;
  if (parsed.success && first === undefined) return parsed.data;
  throw invalid(file, found);
}

/** The file of a configuration; reading it gives the same configuration. */
export function formatRunConfig(config: RunConfig): string {
  return `${JSON.stringify(runConfig.parse(config), null, 2)}\n`;
}

/** What the stages have against each other. */
function misfits(config: RunConfig): Problem[] {
  return checkPipeline(config).map(({ path, message, values }) => ({
    path,
    problem: message,
    allowed: values.known ?? values.accepts ?? "",
  }));
}

/** config.invalid {file, path, problem, allowed}: the message lists every wrong field. */
function invalid(file: string, found: readonly Problem[]): NagiError {
  const lines = found.map((one) => `  ${one.path}: ${one.problem}${one.allowed && ` (allowed: ${one.allowed})`}`);
  const first = found[0] ?? { path: "(the file)", problem: "is not valid", allowed: "" };
  return new NagiError(
    "config.invalid",
    `${file}: the configuration is not valid.\n${lines.join("\n")}\nChange the file; the command line overrides a field with --set PATH=VALUE.`,
    { file, path: first.path, problem: first.problem, allowed: first.allowed },
  );
}
