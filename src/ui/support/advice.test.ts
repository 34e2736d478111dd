import { describe, expect, it } from "vitest";
import en from "../../i18n/en.json";
import type { Browser, Os, WebGpuState } from "../../stores/environment";
import { advice } from "./advice";

const BROWSERS: Browser[] = ["chrome", "edge", "safari", "firefox", "other"];
const SYSTEMS: Os[] = ["windows", "macos", "linux", "android", "ios", "chromeos", "other"];
const MISSING: WebGpuState[] = ["insecure", "no-api", "no-adapter"];

describe("advice", () => {
  it("has something to do for every browser on every system, and every step has a text", () => {
    for (const browser of BROWSERS)
      for (const os of SYSTEMS)
        for (const webgpu of MISSING) {
          const steps = advice({ webgpu, browser, browserVersion: 140, os });
          expect(steps.length, `${browser} on ${os}, ${webgpu}`).toBeGreaterThan(0);
          for (const step of steps) expect(en.support.step[step].length).toBeGreaterThan(10);
        }
  });
  it("says nothing where WebGPU works", () => {
    expect(advice({ webgpu: "available", browser: "chrome", browserVersion: 140, os: "linux" })).toEqual([]);
  });
  it("asks for an update only where the version is too old", () => {
    const steps = (browserVersion: number) =>
      advice({ webgpu: "no-api", browser: "chrome", browserVersion, os: "windows" });
    expect(steps(100)[0]).toBe("update_chrome");
    expect(steps(140)).not.toContain("update_chrome");
  });
  it("knows what differs between systems", () => {
    expect(advice({ webgpu: "no-adapter", browser: "chrome", browserVersion: 140, os: "linux" })).toContain(
      "chrome_linux_flags",
    );
    expect(advice({ webgpu: "no-api", browser: "firefox", browserVersion: 130, os: "windows" })[0]).toBe(
      "firefox_windows",
    );
    expect(advice({ webgpu: "no-api", browser: "chrome", browserVersion: 130, os: "ios" })).toEqual(["ios_other"]);
    expect(advice({ webgpu: "insecure", browser: "safari", browserVersion: 26, os: "macos" })).toEqual([
      "open_localhost",
    ]);
  });
});
