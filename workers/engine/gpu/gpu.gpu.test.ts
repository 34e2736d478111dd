import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NagiError } from "../../../src/shared/errors";
import { defineKernel, linearWorkgroups } from "../kernels/define";
import { openDawn } from "./dawn";
import type { Gpu } from "./gpu";

const source = `
override SCALE: f32 = 1.0;
struct Params { count: u32, shift: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < params.count) { y[i] = x[i] * SCALE + params.shift; }
}`;

const affine = defineKernel({
  name: "test-affine",
  source,
  bindings: { x: "read", y: "read_write" },
  params: { count: "u32", shift: "f32" },
  overrides: { SCALE: 1 },
  workgroups: ({ count = 0 }) => linearWorkgroups(count, 64),
});

const rejection = async (promise: Promise<unknown>): Promise<NagiError> => {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof NagiError)) throw new Error(`expected a NagiError, got ${String(error)}`);
  return error;
};

describe("Gpu", () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openDawn();
  });
  afterAll(() => gpu.destroy());

  test("names the adapter and its capabilities", () => {
    expect(gpu.adapterName).toMatch(/llvmpipe|swiftshader/i);
    expect(gpu.capabilities.cpu).toBe(true);
    expect(gpu.capabilities.f16).toBe(/llvmpipe/i.test(gpu.adapterName));
  });

  test("replays a dispatch without creating anything", async () => {
    const x = gpu.createBuffer("x", 400);
    const y = gpu.createBuffer("y", 400);
    gpu.write(
      x,
      Float32Array.from({ length: 100 }, (_, i) => i),
    );
    const spec = { label: "twice", kernel: affine, bindings: { x, y }, params: { count: 100, shift: 0.5 } };
    const twice = await gpu.dispatch({ ...spec, overrides: { SCALE: 2 } });
    const [warm] = gpu.submit([twice], [y]);
    expect(Array.from(new Float32Array((await warm) ?? new ArrayBuffer(0)))).toEqual(
      Array.from({ length: 100 }, (_, i) => 2 * i + 0.5),
    );
    const before = gpu.snapshot();
    const results = [0, 1, 2].map(() => gpu.submit([twice, twice], [y])[0]);
    await Promise.all(results);
    const after = gpu.snapshot();
    expect(after).toEqual({
      ...before,
      dispatches: before.dispatches + 6,
      submits: before.submits + 3,
      readbacks: before.readbacks + 3,
    });
  });

  test("one buffer may be read and written in disjoint ranges, never in overlapping ones", async () => {
    const { buffer } = gpu.createBuffer("arena", 1024);
    const x = { buffer, offset: 0, size: 256 };
    const y = { buffer, offset: 512, size: 256 };
    gpu.write(
      x,
      Float32Array.from({ length: 64 }, (_, i) => i),
    );
    const spec = { label: "arena", kernel: affine, params: { count: 64, shift: 1 } };
    const [read] = gpu.submit([await gpu.dispatch({ ...spec, bindings: { x, y } })], [y]);
    expect(Array.from(new Float32Array((await read) ?? new ArrayBuffer(0)))).toEqual(
      Array.from({ length: 64 }, (_, i) => i + 1),
    );
    const error = await rejection(gpu.dispatch({ ...spec, bindings: { x, y: x } }));
    expect(error.code).toBe("gpu.validation");
    expect(error.message).toContain("overlap");
  });

  test("refuses what disagrees with the kernel's definition", async () => {
    const x = gpu.createBuffer("x", 256);
    const y = gpu.createBuffer("y", 256);
    const spec = { label: "broken", bindings: { x, y }, params: { count: 4, shift: 0 } };
    const variants: [string, typeof affine][] = [
      [
        "declared read",
        { ...affine, name: "test-access", bindings: affine.bindings.map((b) => ({ ...b, access: "read_write" })) },
      ],
      ["struct Params", { ...affine, name: "test-params", params: [...affine.params].reverse() }],
      ["overrides", { ...affine, name: "test-overrides", overrides: {} }],
      ["unresolved value", { ...affine, name: "test-syntax", source: source.replace("x[i]", "z[i]") }],
      ["arrayLength", { ...affine, name: "test-length", source: source.replace("params.count)", "arrayLength(&x))") }],
    ];
    for (const [text, kernel] of variants) {
      const error = await rejection(gpu.dispatch({ ...spec, kernel }));
      expect(error.code).toBe("gpu.validation");
      expect(error.message).toContain(kernel.name);
      expect(error.message).toContain(text);
    }
    await expect(gpu.dispatch({ ...spec, kernel: affine, params: { count: 4 } })).rejects.toThrow(
      'param "shift" is missing',
    );
    await expect(gpu.dispatch({ ...spec, kernel: affine, bindings: { x } })).rejects.toThrow('binding "y" is missing');
    await expect(gpu.dispatch({ ...spec, kernel: affine, overrides: { SCALES: 1 } })).rejects.toThrow("SCALES");
  });

  test("refuses buffers above the adapter's limit before allocating", () => {
    expect(() => gpu.createBuffer("huge", gpu.limits.maxBufferSize + 4)).toThrow(/maxBufferSize/);
  });

  test("times each dispatch", async () => {
    const x = gpu.createBuffer("x", 4_194_304);
    const y = gpu.createBuffer("y", 4_194_304);
    const one = await gpu.dispatch({
      label: "one",
      kernel: affine,
      bindings: { x, y },
      params: { count: 1_048_576, shift: 0 },
    });
    const times = await gpu.profile([one, one]);
    expect(times.map((time) => time.label)).toEqual(["one", "one"]);
    for (const time of times) expect(time.nanoseconds).toBeGreaterThan(0);
  });
});

test("a validation error outside every scope fails all that follows", async () => {
  const gpu = await openDawn();
  const x = gpu.createBuffer("x", 256);
  // Out of the buffer's range: only the device notices.
  gpu.write({ ...x, offset: 256 }, new Float32Array(4));
  const error = await rejection(gpu.read(x));
  expect(error.code).toBe("gpu.validation");
  expect(error.message).toContain("does not fit");
  expect(() => gpu.submit([])).toThrow(error.message);
  gpu.destroy();
});

test("a lost device rejects pending reads and says so", async () => {
  const gpu = await openDawn();
  const x = gpu.createBuffer("x", 256);
  const pending = rejection(gpu.read(x));
  gpu.simulateLoss();
  expect((await gpu.lost).code).toBe("gpu.lost");
  expect((await pending).code).toBe("gpu.lost");
  expect(() => gpu.createBuffer("y", 4)).toThrow(/lost/);
  gpu.destroy();
});
