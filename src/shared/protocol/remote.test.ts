import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { artefactId, artefactManifest, hashBytes } from "./artefact";
import { wireSchemas } from "./remote";
import { REMOTE_SCHEMA_HASH } from "./remote-hash";
import { remoteSchemaText } from "./remote-schema";

const folder = new URL("../../../workers/remote/protocol/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");
const fixture = z.strictObject({ schema: z.string(), value: z.unknown() });
const schemas = new Map<string, z.ZodType>(Object.entries(wireSchemas));

/** Python's tests say the same of the same files (workers/remote/tests). */
function passes(name: string): boolean {
  let raw: unknown;
  try {
    raw = JSON.parse(read(name));
  } catch {
    return false;
  }
  const { schema, value } = fixture.parse(raw);
  const found = schemas.get(schema);
  if (found === undefined) throw new Error(`${name} names the schema ${schema}, which is not declared`);
  return found.safeParse(value).success;
}

describe("schema.json", () => {
  it("is what the declarations say (else: npm run schema)", () => {
    expect(read("schema.json")).toBe(remoteSchemaText());
  });

  it("has the hash that the studio says hello with (else: npm run schema)", async () => {
    expect(await hashBytes(new TextEncoder().encode(read("schema.json")))).toBe(REMOTE_SCHEMA_HASH);
  });
});

describe("fixtures of the wire", () => {
  const names = (kind: string) =>
    readdirSync(new URL(`fixtures/${kind}`, folder)).map((file) => `fixtures/${kind}/${file}`);

  it.each(names("valid"))("%s passes", (name) => {
    expect(passes(name)).toBe(true);
  });

  it.each(names("invalid"))("%s fails", (name) => {
    expect(passes(name)).toBe(false);
  });

  it("artefact-ids.json: the same manifests have the same ids in both languages", async () => {
    const cases = z
      .array(z.strictObject({ manifest: artefactManifest, id: z.string() }))
      .min(1)
      .parse(JSON.parse(read("fixtures/artefact-ids.json")));
    for (const { manifest, id } of cases) expect(await artefactId(manifest)).toBe(id);
  });
});
