import { describe, expect, it } from "vitest";
import { detectEnvironment, type NavigatorLike, parseBrowser, parseOs } from "./environment";

const UA = {
  chromeWindows:
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  edge: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
  safariMac:
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
  iphone:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
  firefoxLinux: "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
  android:
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
} as const;

describe("what browser this is", () => {
  it.each([
    [UA.chromeWindows, "chrome", 141, "windows"],
    [UA.edge, "edge", 140, "windows"],
    [UA.safariMac, "safari", 26, "macos"],
    [UA.iphone, "safari", 26, "ios"],
    [UA.firefoxLinux, "firefox", 143, "linux"],
    [UA.android, "chrome", 141, "android"],
    ["curl/8", "other", null, "other"],
  ])("%s", (userAgent, browser, version, os) => {
    expect(parseBrowser(userAgent)).toEqual({ browser, version });
    expect(parseOs(userAgent, 0)).toBe(os);
  });

  it("takes a Mac with a touch screen for an iPad", () => {
    expect(parseOs(UA.safariMac, 5)).toBe("ios");
  });
});

describe("detectEnvironment", () => {
  const nav = (rest: Partial<NavigatorLike>): NavigatorLike => ({
    userAgent: UA.firefoxLinux,
    maxTouchPoints: 0,
    ...rest,
  });

  it("tells a missing API, an insecure page and a missing adapter apart", async () => {
    expect((await detectEnvironment(nav({}), true)).webgpu).toBe("no-api");
    expect((await detectEnvironment(nav({}), false)).webgpu).toBe("insecure");
    const none = { requestAdapter: async () => null };
    expect((await detectEnvironment(nav({ gpu: none }), true)).webgpu).toBe("no-adapter");
    const broken = { requestAdapter: () => Promise.reject(new Error("driver")) };
    expect((await detectEnvironment(nav({ gpu: broken }), true)).webgpu).toBe("no-adapter");
  });

  it("reports the adapter", async () => {
    const adapter = {
      info: { vendor: "v", architecture: "a", description: "d", isFallbackAdapter: true },
      features: new Set(["subgroups", "shader-f16"]),
      limits: { maxBufferSize: 8, maxStorageBufferBindingSize: 4 },
    };
    const facts = await detectEnvironment(
      nav({ gpu: { requestAdapter: async () => adapter }, storage: { getDirectory: () => undefined } }),
      true,
    );
    expect(facts).toMatchObject({ webgpu: "available", browser: "firefox", os: "linux", opfs: true });
    expect(facts.adapter).toEqual({
      vendor: "v",
      architecture: "a",
      description: "d",
      fallback: true,
      features: ["shader-f16", "subgroups"],
      maxBufferSize: 8,
      maxStorageBufferBindingSize: 4,
    });
  });
});
