/**
 * Reads what a kernel's WGSL declares (bindings, the Params struct, overrides) and compares it with the definition.
 * A `read` declaration behind a read-write layout, or two params swapped, would compute garbage without any error, so
 * the comparison runs for every pipeline that is built. Not a WGSL parser: it knows only the shapes kernels use.
 */

import type { KernelDefinition } from "../kernels/define";

export interface WgslBinding {
  readonly group: number;
  readonly binding: number;
  readonly space: "storage" | "uniform";
  readonly access: "read" | "read_write";
  readonly name: string;
  readonly type: string;
}

export interface WgslInterface {
  readonly bindings: readonly WgslBinding[];
  /** Fields of `struct Params`, or null where the source has none. */
  readonly params: readonly { readonly name: string; readonly type: string }[] | null;
  readonly overrides: readonly string[];
}

const withoutComments = (source: string) => source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/[^\n]*/g, "");

const BINDING =
  /@group\(\s*(\d+)\s*\)\s*@binding\(\s*(\d+)\s*\)\s*var\s*<\s*(storage|uniform)\s*(?:,\s*(read_write|read)\s*)?>\s*(\w+)\s*:\s*([^;]+);/g;

/** Declarations of a WGSL source, in the order of their binding numbers. */
export function parseWgsl(source: string): WgslInterface {
  const text = withoutComments(source);
  const bindings: WgslBinding[] = [];
  for (const [, group, binding, space, access, name, type] of text.matchAll(BINDING)) {
    bindings.push({
      group: Number(group),
      binding: Number(binding),
      space: space === "uniform" ? "uniform" : "storage",
      access: access === "read_write" ? "read_write" : "read",
      name: name ?? "",
      type: (type ?? "").replace(/\s+/g, ""),
    });
  }
  bindings.sort((a, b) => a.binding - b.binding);
  const body = /struct\s+Params\s*\{([^}]*)\}/.exec(text)?.[1];
  const params =
    body === undefined
      ? null
      : [...body.matchAll(/(\w+)\s*:\s*(\w+)/g)].map((match) => ({ name: match[1] ?? "", type: match[2] ?? "" }));
  const overrides = [...text.matchAll(/\boverride\s+(\w+)/g)].map((match) => match[1] ?? "");
  return { bindings, params, overrides };
}

/** Every difference between a kernel's WGSL and its definition, one sentence each; empty when they agree. */
export function interfaceProblems(kernel: KernelDefinition): string[] {
  const problems: string[] = [];
  const found = parseWgsl(kernel.source);
  const storage = found.bindings.filter((binding) => binding.space === "storage");
  const uniform = found.bindings.filter((binding) => binding.space === "uniform");
  if (found.bindings.some((binding) => binding.group !== 0)) problems.push("bindings must all be in group 0");
  if (storage.length !== kernel.bindings.length)
    problems.push(`declares ${storage.length} storage bindings, the definition has ${kernel.bindings.length}`);
  kernel.bindings.forEach((expected, index) => {
    const actual = found.bindings.find((binding) => binding.binding === index);
    if (actual === undefined || actual.space !== "storage" || actual.name !== expected.name)
      problems.push(
        `binding ${index} is ${actual ? `"${actual.name}"` : "missing"}, the definition says "${expected.name}"`,
      );
    else if (actual.access !== expected.access)
      problems.push(`"${expected.name}" is declared ${actual.access}, the definition says ${expected.access}`);
  });
  if (kernel.params.length === 0) {
    if (uniform.length > 0) problems.push("declares a uniform, the definition has no params");
  } else {
    const only = uniform[0];
    if (
      uniform.length !== 1 ||
      only?.name !== "params" ||
      only.type !== "Params" ||
      only.binding !== kernel.bindings.length
    )
      problems.push(`needs exactly "@binding(${kernel.bindings.length}) var<uniform> params: Params"`);
    const expected = kernel.params.map((param) => `${param.name}: ${param.type}`).join(", ");
    const actual = (found.params ?? []).map((param) => `${param.name}: ${param.type}`).join(", ");
    if (expected !== actual) problems.push(`struct Params is {${actual}}, the definition says {${expected}}`);
  }
  const declared = [...found.overrides].sort().join(", ");
  const defined = Object.keys(kernel.overrides).sort().join(", ");
  if (declared !== defined) problems.push(`overrides are {${declared}}, the definition says {${defined}}`);
  // The buffer behind a binding may be larger than the tensor (arenas, guard words), so its length means nothing.
  if (/\barrayLength\b/.test(withoutComments(kernel.source))) problems.push("uses arrayLength; sizes come from params");
  return problems;
}

/**
 * The text that is compiled: `enable f16`, the element aliases and, for `writable` names, read_write in place of read
 * (see Pipelines: a buffer that one dispatch both reads and writes must be bound with one usage).
 */
export function composeWgsl(
  kernel: KernelDefinition,
  elements: Readonly<Record<string, string>>,
  writable: ReadonlySet<string>,
): string {
  const enables = new Set<string>();
  if (Object.values(elements).includes("f16") || kernel.requires.includes("shader-f16")) enables.add("enable f16;");
  if (kernel.requires.includes("subgroups")) enables.add("enable subgroups;");
  let body = kernel.source.replace(/^\s*enable\s+(f16|subgroups)\s*;/gm, (_, name: string) => {
    enables.add(`enable ${name};`);
    return "";
  });
  for (const name of writable)
    body = body.replace(
      new RegExp(`var\\s*<\\s*storage\\s*(,\\s*read\\s*)?>\\s*${name}\\s*:`),
      `var<storage, read_write> ${name}:`,
    );
  const aliases = Object.entries(elements).map(([name, type]) => `alias ${name} = ${type};`);
  return `${[...enables, ...aliases].join("\n")}\n${body}`;
}
