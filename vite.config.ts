import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** Tests that need a GPU adapter; they run one file at a time and fail without one. */
const gpuTests = ["workers/**/*.gpu.test.ts"];

/** Models at their real size, minutes each: `npm run test:large`. */
const largeTests = ["workers/**/*.large.test.ts"];

/** Native code stays outside of the bundles for Node; ws works without its two accelerators. */
const outside = ["webgpu", "@xenova/transformers", "bufferutil", "utf-8-validate"];
/** What the benchmark compares with and Node loads as it is; TensorFlow.js' build for Node lacks its gradients. */
const peers = ["@jax-js/jax", "onnxruntime-web/webgpu"];

/** The bundles for Node by mode: the nagi command line, its benchmark, and what `npm start -- --relay` loads. */
const NODE_BUILDS: Readonly<Record<string, { readonly main: string; readonly outDir: string }>> = {
  relay: { main: "workers/relay/main.ts", outDir: "dist/relay" },
  bench: { main: "workers/headless/bench/main.ts", outDir: "dist/bench" },
};
const HEADLESS = { main: "workers/headless/main.ts", outDir: "dist/headless" };

export default defineConfig(({ isSsrBuild, mode }) => ({
  plugins: [react()],
  publicDir: isSsrBuild ? false : "public",
  // The server behind `npm start` replaces it in every response (.ci/serve.mjs).
  html: { cspNonce: "__CSP_NONCE__" },
  // Only the tokenizers of transformers.js are used: without this the build copies 27 MB of ONNX wasm nobody fetches.
  ...(isSsrBuild ? {} : { resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] } }),
  worker: { format: "es" },
  build: isSsrBuild
    ? {
        outDir: (NODE_BUILDS[mode] ?? HEADLESS).outDir,
        emptyOutDir: true,
        target: "node20",
        minify: false,
        sourcemap: true,
        rolldownOptions: {
          input: { main: path((NODE_BUILDS[mode] ?? HEADLESS).main) },
          external: [...outside, ...peers],
          // One file: a build may be replaced while an older one still runs. The benchmark's peers read navigator.gpu as
          // they load, so each stays a chunk of its own.
          output: { codeSplitting: mode === "bench", entryFileNames: "main.js" },
        },
      }
    : {
        outDir: "dist/app",
        emptyOutDir: true,
        target: ["chrome126", "safari26", "firefox141"],
        // The page's CSP allows no data: fonts or scripts.
        assetsInlineLimit: 0,
        chunkSizeWarningLimit: 1500,
      },
  // In tests packages stay packages: only the builds for Node bundle them.
  ...(isSsrBuild ? { ssr: { noExternal: true as const, external: [...outside, ...peers] } } : {}),
  server: {
    headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["src/**/*.test.{ts,tsx}", "workers/**/*.test.ts", ".ci/**/*.test.mjs"],
          exclude: ["**/node_modules/**", ...gpuTests, ...largeTests],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "gpu",
          include: gpuTests,
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 120_000,
          teardownTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: "large",
          include: largeTests,
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 3_600_000,
          hookTimeout: 120_000,
          teardownTimeout: 60_000,
        },
      },
    ],
  },
}));
