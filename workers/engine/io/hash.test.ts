import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { hashFile } from "./hash";
import { MapSource } from "./source";

it("hashes a file piece by piece as it does at once, and as OpenSSL does", async () => {
  const bytes = new Uint8Array(9_000_001).map((_, index) => (index * 31) % 251);
  const source = new MapSource("folder", new Map([["file", bytes]]));
  const expected = createHash("sha256").update(bytes).digest("hex");
  expect(await hashFile(source, "file")).toBe(expected);
  expect(await hashFile(source, "file", 100)).toBe(expected);
});
