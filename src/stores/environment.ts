/**
 * What this browser grants: WebGPU, its adapter, storage. `webgpu` says what is missing, `browser` and `os` for which
 * advice to show.
 *
 * Usage:
 *   await useEnvironment.getState().detect();                     // once at start
 *   const { webgpu, browser, os, adapter, opfs } = useEnvironment();
 *   if (webgpu !== "available") ... a run cannot start; data, history and settings still work.
 */
import { create } from "zustand";

export type Browser = "chrome" | "edge" | "safari" | "firefox" | "other";
export type Os = "windows" | "macos" | "linux" | "android" | "ios" | "chromeos" | "other";
/** insecure: not https or localhost, where browsers hide WebGPU. no-api: the browser has none. no-adapter: it has, but no usable GPU. */
export type WebGpuState = "unknown" | "available" | "insecure" | "no-api" | "no-adapter";

export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** A software adapter (SwiftShader, lavapipe): works, slowly. */
  readonly fallback: boolean;
  readonly features: readonly string[];
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

export interface EnvironmentFacts {
  readonly webgpu: WebGpuState;
  readonly browser: Browser;
  readonly browserVersion: number | null;
  readonly os: Os;
  readonly adapter: AdapterFacts | null;
  /** Files of this site on disk (origin private file system): runs are kept there. */
  readonly opfs: boolean;
}

export interface EnvironmentState extends EnvironmentFacts {
  readonly detected: boolean;
  detect(): Promise<void>;
}

interface AdapterLike {
  readonly info?: {
    readonly vendor: string;
    readonly architecture: string;
    readonly description: string;
    readonly isFallbackAdapter?: boolean;
  };
  readonly isFallbackAdapter?: boolean;
  readonly features: Iterable<string>;
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
}

/** The parts of `navigator` that matter here, so that tests can stand in for any browser. */
export interface NavigatorLike {
  readonly userAgent: string;
  readonly maxTouchPoints: number;
  readonly gpu?: { requestAdapter(): Promise<AdapterLike | null> };
  readonly storage?: { readonly getDirectory?: unknown };
}

export async function detectEnvironment(nav: NavigatorLike, secure: boolean): Promise<EnvironmentFacts> {
  const { browser, version } = parseBrowser(nav.userAgent);
  const facts = {
    browser,
    browserVersion: version,
    os: parseOs(nav.userAgent, nav.maxTouchPoints),
    opfs: typeof nav.storage?.getDirectory === "function",
  };
  if (nav.gpu === undefined) return { ...facts, webgpu: secure ? "no-api" : "insecure", adapter: null };
  const adapter = await nav.gpu.requestAdapter().catch(() => null);
  if (adapter === null) return { ...facts, webgpu: "no-adapter", adapter: null };
  return {
    ...facts,
    webgpu: "available",
    adapter: {
      vendor: adapter.info?.vendor ?? "",
      architecture: adapter.info?.architecture ?? "",
      description: adapter.info?.description ?? "",
      fallback: adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false,
      features: [...adapter.features].sort(),
      maxBufferSize: adapter.limits.maxBufferSize,
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
    },
  };
}

export function parseBrowser(userAgent: string): { browser: Browser; version: number | null } {
  // Order matters: Edge says Chrome and Safari too, Chrome says Safari too; CriOS and FxiOS are the iOS builds.
  const patterns: readonly [Browser, RegExp][] = [
    ["edge", /Edg(?:e|A|iOS)?\/(\d+)/],
    ["firefox", /(?:Firefox|FxiOS)\/(\d+)/],
    ["chrome", /(?:Chrome|Chromium|CriOS)\/(\d+)/],
    ["safari", /Version\/(\d+)[\d.]* (?:Mobile\/\S+ )?Safari/],
  ];
  for (const [browser, pattern] of patterns) {
    const match = pattern.exec(userAgent);
    if (match !== null) return { browser, version: Number(match[1]) };
  }
  return { browser: "other", version: null };
}

export function parseOs(userAgent: string, maxTouchPoints: number): Os {
  if (/Android/.test(userAgent)) return "android";
  if (/iPhone|iPad|iPod/.test(userAgent)) return "ios";
  if (/CrOS/.test(userAgent)) return "chromeos";
  if (/Windows/.test(userAgent)) return "windows";
  // iPadOS says it is a Mac; a Mac has no touch screen.
  if (/Macintosh|Mac OS X/.test(userAgent)) return maxTouchPoints > 1 ? "ios" : "macos";
  return /Linux|X11/.test(userAgent) ? "linux" : "other";
}

export const useEnvironment = create<EnvironmentState>()((set) => ({
  detected: false,
  webgpu: "unknown",
  browser: "other",
  browserVersion: null,
  os: "other",
  adapter: null,
  opfs: false,
  async detect() {
    set({ ...(await detectEnvironment(navigator, globalThis.isSecureContext)), detected: true });
  },
}));
