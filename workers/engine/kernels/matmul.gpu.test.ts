/** Which kernel makes a product changes its speed and no bit of it: a run may go on with other measured choices. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDawn } from "../gpu/dawn";
import type { Gpu } from "../gpu/gpu";
import { type MatmulLayout, matmulCandidates } from "./choose-matmul";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDawn();
});
afterAll(() => gpu.destroy());

test.each<MatmulLayout>(["NN", "NT", "TN"])("%s: every candidate gives the same bits", async (layout) => {
  const [M, N, K] = [36, 44, 52];
  const buffer = (label: string, elements: number) => gpu.createBuffer(label, 4 * elements);
  const bindings = { a: buffer("a", M * K), b: buffer("b", N * K), bias: buffer("bias", N), out: buffer("out", M * N) };
  const draw = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i * step));
  gpu.write(bindings.a, draw(M * K, 0.37));
  gpu.write(bindings.b, draw(N * K, 1.13));
  const products: { readonly variant: string; readonly words: Uint32Array }[] = [];
  for (const { variant, kernel, overrides, elements } of matmulCandidates({ layout, M, N, K }, gpu.capabilities)) {
    gpu.write(bindings.out, new Float32Array(M * N).fill(Number.NaN));
    const params = { M, N, K };
    gpu.submit([await gpu.dispatch({ label: variant, kernel, overrides, elements, bindings, params })]);
    products.push({ variant, words: new Uint32Array(await gpu.read(bindings.out)) });
  }
  const [first, ...others] = products;
  expect(others.length).toBeGreaterThan(1);
  expect(new Float32Array(first?.words.buffer ?? new ArrayBuffer(0)).every(Number.isFinite)).toBe(true);
  for (const { variant, words } of others) expect({ variant, words }).toEqual({ variant, words: first?.words });
});
