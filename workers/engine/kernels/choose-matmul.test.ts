import { describe, expect, test } from "vitest";
import {
  chooseMatmul,
  type MatmulCapabilities,
  type MatmulProblem,
  matmulCandidates,
  matmulKey,
} from "./choose-matmul";

const lavapipe: MatmulCapabilities = {
  subgroups: true,
  subgroupSize: 8,
  maxComputeWorkgroupStorageSize: 32_768,
  cpu: true,
};
const swiftshader = { ...lavapipe, subgroupSize: 4 };
const gpu = { ...lavapipe, subgroupSize: 32, cpu: false };
const nameOf = (...args: Parameters<typeof chooseMatmul>) => chooseMatmul(...args).kernel.name;

describe("chooseMatmul", () => {
  const problem = { layout: "NT", M: 512, N: 768, K: 192 } as const;

  test("prefers shuffles, then registers, on software adapters and tiles on GPUs", () => {
    expect(nameOf(problem, lavapipe)).toBe("matmul-shuffle.vec4.vec4");
    expect(nameOf({ ...problem, layout: "TN" }, lavapipe)).toBe("matmul-shuffle-tn.vec4.vec4");
    expect(nameOf(problem, swiftshader)).toBe("matmul-register.vec4.vec4");
    expect(nameOf(problem, { ...lavapipe, subgroups: false, subgroupSize: 0 })).toBe("matmul-register.vec4.vec4");
    expect(nameOf(problem, gpu)).toBe("matmul-tile.vec4.vec4");
  });

  test("takes large tiles only where there are enough of them", () => {
    expect(chooseMatmul({ layout: "NT", M: 1024, N: 768, K: 192 }, gpu).overrides).toMatchObject({ THREADS_X: 16 });
    expect(chooseMatmul({ layout: "NT", M: 64, N: 768, K: 192 }, gpu).overrides).toMatchObject({ THREADS_X: 8 });
  });

  test("reads scalars where 4 does not divide a row", () => {
    expect(nameOf({ layout: "NT", M: 4, N: 4, K: 7 }, lavapipe)).toBe("matmul-tile.scalar.scalar");
    expect(nameOf({ layout: "NT", M: 5, N: 7, K: 8 }, lavapipe)).toBe("matmul-shuffle.vec4.vec4");
    expect(nameOf({ layout: "NN", M: 8, N: 7, K: 8 }, lavapipe)).toBe("matmul-tile.vec4.scalar");
    expect(nameOf({ layout: "NN", M: 8, N: 8, K: 7 }, lavapipe)).toBe("matmul-register.scalar.vec4");
    expect(nameOf({ layout: "TN", M: 7, N: 8, K: 8 }, gpu)).toBe("matmul-tile.scalar.vec4");
  });

  test("follows a tuning table, and only to candidates that fit", () => {
    const tuned = { [matmulKey(problem)]: "tile-64x64", [matmulKey({ ...problem, K: 7 })]: "shuffle" };
    expect(chooseMatmul(problem, { ...lavapipe, tuned }).overrides).toMatchObject({ THREADS_X: 16, THREADS_Y: 8 });
    expect(nameOf({ ...problem, K: 7 }, { ...lavapipe, tuned })).toBe("matmul-tile.scalar.scalar");
  });

  test("takes the table's entry for the nearest sizes of the same layout and element", () => {
    const tuned = {
      [matmulKey({ layout: "NT", M: 512, N: 256, K: 256 })]: "tile-32x32",
      [matmulKey({ layout: "NT", M: 512, N: 4096, K: 1024 })]: "tile-64x64",
    };
    const threads = (sizes: Omit<MatmulProblem, "layout">, layout: MatmulProblem["layout"] = "NT") =>
      chooseMatmul({ layout, ...sizes }, { ...lavapipe, tuned }).overrides.THREADS_X;
    expect(threads({ M: 700, N: 300, K: 200 })).toBe(8);
    expect(threads({ M: 700, N: 3000, K: 700 })).toBe(16);
    expect(threads({ M: 700, N: 3000, K: 700 }, "NN")).toBeUndefined();
    expect(threads({ M: 700, N: 3000, K: 700, weight: "f16" })).toBeUndefined();
  });

  test("offers a kernel for every size, with workgroup counts within the limits", () => {
    for (const layout of ["NN", "NT", "TN"] as const)
      for (const M of [1, 3, 16, 67])
        for (const N of [1, 4, 63, 52_096])
          for (const { kernel, overrides } of matmulCandidates({ layout, M, N, K: 5 }, lavapipe)) {
            const [x, y] = kernel.workgroups({ M, N, K: 5 }, { ...kernel.overrides, ...overrides });
            expect(x).toBeGreaterThanOrEqual(1);
            expect(x).toBeLessThanOrEqual(65_535);
            expect(y).toBeGreaterThanOrEqual(1);
          }
  });
});
