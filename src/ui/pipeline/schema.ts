/**
 * The settings' schema as a form reads it: zod's JSON Schema of a whole configuration, walked by path. Ranges, options
 * and what may be left out come from there, so that a form never says anything else than the protocol does.
 */
import { z } from "zod";
import { runConfig, type StageConfig } from "../../shared/protocol/config";
import type { Range } from "../common/numbers";

export interface SchemaNode {
  readonly type?: string | undefined;
  readonly const?: string | boolean | number | null | undefined;
  readonly enum?: readonly string[] | undefined;
  readonly properties?: Readonly<Record<string, SchemaNode>> | undefined;
  readonly items?: SchemaNode | undefined;
  readonly anyOf?: readonly SchemaNode[] | undefined;
  readonly oneOf?: readonly SchemaNode[] | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
}

const schemaNode: z.ZodType<SchemaNode> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    const: z.union([z.string(), z.boolean(), z.number(), z.null()]).optional(),
    enum: z.array(z.string()).optional(),
    properties: z.record(z.string(), schemaNode).optional(),
    items: schemaNode.optional(),
    anyOf: z.array(schemaNode).optional(),
    oneOf: z.array(schemaNode).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    exclusiveMinimum: z.number().optional(),
    exclusiveMaximum: z.number().optional(),
  }),
);

export const CONFIG_NODE: SchemaNode = schemaNode.parse(z.toJSONSchema(runConfig));

const STAGE_NODES: readonly SchemaNode[] =
  CONFIG_NODE.properties?.stages?.items?.oneOf ?? CONFIG_NODE.properties?.stages?.items?.anyOf ?? [];

/** The settings of a kind of stage. */
export function stageNode(kind: StageConfig["stage"]): SchemaNode {
  const node = STAGE_NODES.find((candidate) => candidate.properties?.stage?.const === kind);
  if (node === undefined) throw new Error(`the schema has no stage "${kind}"`);
  return node;
}

/** The alternatives of a node: itself where it has none. */
export function alternatives(node: SchemaNode): readonly SchemaNode[] {
  return node.anyOf ?? node.oneOf ?? [node];
}

/** The alternative that is a number, if any. */
export function numberNode(node: SchemaNode): SchemaNode | undefined {
  return alternatives(node).find(({ type }) => type === "number" || type === "integer");
}

/** Words (and false) that may stand there, in the schema's order; empty where anything may. */
export function optionsOf(node: SchemaNode): (string | false)[] {
  return alternatives(node).flatMap((one): (string | false)[] =>
    one.enum !== undefined ? [...one.enum] : one.const === false || typeof one.const === "string" ? [one.const] : [],
  );
}

export const isNullable = (node: SchemaNode): boolean => alternatives(node).some(({ type }) => type === "null");

/** The numbers a node allows. */
export function rangeOf(node: SchemaNode): Range {
  const bounds = numberNode(node) ?? {};
  const maximum = bounds.maximum ?? bounds.exclusiveMaximum ?? null;
  const minimum = bounds.minimum ?? bounds.exclusiveMinimum ?? null;
  return {
    integer: bounds.type === "integer",
    // zod bounds integers by what a double can hold; that is no limit worth showing.
    minimum: minimum === Number.MIN_SAFE_INTEGER ? null : minimum,
    maximum: maximum === Number.MAX_SAFE_INTEGER ? null : maximum,
    exclusiveMinimum: bounds.minimum === undefined && bounds.exclusiveMinimum !== undefined,
    exclusiveMaximum: bounds.maximum === undefined && bounds.exclusiveMaximum !== undefined,
  };
}
