/** What can be said about every kernel without a GPU: definitions agree with their WGSL, and no file is left over. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { interfaceProblems, parseWgsl } from "../gpu/wgsl";
import { defineKernel, type KernelDefinition, type KernelSpec, linearWorkgroups } from "./define";

const folder = new URL("./", import.meta.url);
const engine = new URL("../", folder);
const read = (url: URL) => readFileSync(url, "utf8");
const files = readdirSync(folder);
const modules = files.filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));

function isKernel(value: unknown): value is KernelDefinition {
  return (
    typeof value === "object" && value !== null && "source" in value && "bindings" in value && "workgroups" in value
  );
}

/** Kernels among a module's exports, the widths of vector kernels included. */
async function kernelsOf(module: string): Promise<KernelDefinition[]> {
  const values = Object.values<unknown>(await import(new URL(module, folder).href));
  return values.flatMap((value) =>
    isKernel(value)
      ? [value]
      : typeof value === "object" && value !== null
        ? Object.values(value).filter(isKernel)
        : [],
  );
}

/** Sources of the engine outside tests, by path. */
const sources = readdirSync(engine, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .map((path) => ({ path, text: read(new URL(path, engine)) }));

describe("kernel files", () => {
  test("every .wgsl is imported by a kernel module", () => {
    const imported = modules.map((name) => read(new URL(name, folder))).join("\n");
    const unused = files.filter((name) => name.endsWith(".wgsl") && !imported.includes(`"./${name}?raw"`));
    expect(unused).toEqual([]);
  });

  test("every kernel module is used by the engine", () => {
    const unused = modules.filter((name) => {
      const specifier = new RegExp(`from "[^"]*/${name.replace(/\.ts$/, "")}"`);
      return !sources.some(({ path, text }) => path !== `kernels/${name}` && specifier.test(text));
    });
    expect(unused).toEqual([]);
  });

  test("names are unique", async () => {
    const names = (await Promise.all(modules.map(kernelsOf))).flat().map((kernel) => kernel.name);
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  test.each(modules)("%s: definitions agree with the WGSL", async (module) => {
    for (const kernel of await kernelsOf(module)) {
      expect({ kernel: kernel.name, problems: interfaceProblems(kernel) }).toEqual({
        kernel: kernel.name,
        problems: [],
      });
      expect(kernel.source, `${kernel.name}: entry point`).toMatch(
        /@compute\s+@workgroup_size\([^)]*\)\s*fn main\s*\(/,
      );
      // 256-byte slots of the uniform arena.
      expect(kernel.params.length).toBeLessThanOrEqual(64);
    }
  });
});

describe("interfaceProblems", () => {
  const source = `
    override A: u32 = 1;
    struct Params { n: u32, /* f: i32, */ s: f32 } // struct Params { z: u32 }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y : array<vec4f>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(64) fn main() {}`;
  const spec = {
    name: "k",
    source,
    bindings: { x: "read", y: "read_write" },
    params: { n: "u32", s: "f32" },
    overrides: { A: 1 },
    workgroups: (): [number, number, number] => [1, 1, 1],
  } satisfies KernelSpec;
  const problems = (change: Partial<KernelSpec>) => interfaceProblems(defineKernel({ ...spec, ...change })).join("; ");

  test("accepts a source that agrees", () => {
    expect(problems({})).toBe("");
    expect(parseWgsl(source).bindings.map((binding) => binding.type)).toEqual(["array<f32>", "array<vec4f>", "Params"]);
  });

  test("names every kind of difference", () => {
    expect(problems({ bindings: { x: "read", y: "read" } })).toContain('"y" is declared read_write');
    expect(problems({ bindings: { x: "read_write", y: "read_write" } })).toContain('"x" is declared read,');
    expect(problems({ bindings: { y: "read_write", x: "read" } })).toContain('binding 0 is "x"');
    expect(problems({ bindings: { x: "read" } })).toContain("declares 2 storage bindings");
    expect(problems({ params: { s: "f32", n: "u32" } })).toContain("struct Params is {n: u32, s: f32}");
    expect(problems({ params: { n: "f32", s: "f32" } })).toContain("the definition says {n: f32");
    expect(problems({ params: {} })).toContain("declares a uniform");
    expect(problems({ overrides: {} })).toContain("overrides are {A}");
    expect(problems({ source: source.replace("@binding(2)", "@binding(3)") })).toContain("@binding(2) var<uniform>");
    expect(problems({ source: source.replace("main() {}", "main() { _ = arrayLength(&x); }") })).toContain(
      "arrayLength",
    );
  });
});

test("linearWorkgroups folds what one dimension cannot hold", () => {
  expect(linearWorkgroups(0, 64)).toEqual([1, 1, 1]);
  expect(linearWorkgroups(65, 64)).toEqual([2, 1, 1]);
  expect(linearWorkgroups(65_535 * 64 + 1, 64)).toEqual([65_535, 2, 1]);
});
