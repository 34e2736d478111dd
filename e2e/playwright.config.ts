/**
 * Chromium of the system on SwiftShader's WebGPU, against the real server of `npm start`.
 * NAGI_SCREENSHOTS=FOLDER adds the project "screenshots", which takes pictures of every screen instead of testing.
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "@playwright/test";

const PORT = 4199;
/** A studio that is already served, instead of a fresh one. */
const served = process.env.NAGI_URL;
const url = served ?? `http://localhost:${PORT}/`;
const root = fileURLToPath(new URL("..", import.meta.url));

/** A browser at rest: no look-ups in the background. */
const QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

/** Journeys that need no WebGPU, in a browser that has none. */
const NO_WEBGPU = ["no-webgpu.spec.ts", "rating-local.spec.ts", "rating.spec.ts", "relay.spec.ts"];

const launch = (args: readonly string[]) => ({
  executablePath: process.env.NAGI_CHROMIUM || "/usr/bin/chromium",
  args: [...args],
});

export default defineConfig({
  testDir: ".",
  outputDir: "../test-results",
  // A run keeps both cores busy: one after another. Two at a time took as long, each twice.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 1_200_000,
  expect: { timeout: 60_000 },
  use: {
    baseURL: url,
    locale: "ja-JP",
    viewport: { width: 1280, height: 900 },
    actionTimeout: 30_000,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
  },
  projects: [
    {
      name: "webgpu",
      testIgnore: NO_WEBGPU,
      use: { launchOptions: launch([...QUIET, ...WEBGPU]) },
    },
    ...(process.env.NAGI_SCREENSHOTS
      ? [{ name: "screenshots", testMatch: "screenshots.ts", use: { launchOptions: launch([...QUIET, ...WEBGPU]) } }]
      : []),
    {
      name: "no-webgpu",
      testMatch: NO_WEBGPU,
      use: { launchOptions: launch([...QUIET, "--disable-gpu", "--disable-features=WebGPU,Vulkan"]) },
    },
  ],
  ...(served
    ? {}
    : {
        webServer: {
          command: `node .ci/start.mjs --port ${PORT}`,
          cwd: root,
          url,
          timeout: 240_000,
          reuseExistingServer: false,
          stdout: "ignore" as const,
          stderr: "pipe" as const,
        },
      }),
});
