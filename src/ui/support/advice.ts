/** What to do about a missing WebGPU, by browser and system. Keys are those of `support.step` in the catalogues. */
import type { EnvironmentFacts } from "../../stores/environment";

export type Step =
  | "open_localhost"
  | "update_chrome"
  | "update_edge"
  | "chrome_acceleration"
  | "chrome_gpu_page"
  | "edge_gpu_page"
  | "chrome_linux_flags"
  | "linux_driver"
  | "windows_driver"
  | "firefox_windows"
  | "firefox_mac"
  | "firefox_linux"
  | "firefox_android"
  | "safari_mac"
  | "safari_ios"
  | "ios_other"
  | "chrome_android"
  | "other_desktop"
  | "command_line";

/** Oldest Chrome and Edge that the build targets. */
const CHROMIUM_VERSION = 126;

type Facts = Pick<EnvironmentFacts, "webgpu" | "browser" | "browserVersion" | "os">;

/** Steps in the order to try them; empty where WebGPU works. */
export function advice({ webgpu, browser, browserVersion, os }: Facts): Step[] {
  if (webgpu === "available" || webgpu === "unknown") return [];
  if (webgpu === "insecure") return ["open_localhost"];
  if (os === "ios") return [browser === "safari" ? "safari_ios" : "ios_other"];
  if (os === "android") {
    if (browser === "firefox") return ["firefox_android"];
    return ["chrome_android"];
  }
  const desktop: Step[] = ["command_line"];
  switch (browser) {
    case "safari":
      return ["safari_mac", ...desktop];
    case "firefox":
      if (os === "windows") return ["firefox_windows", "windows_driver", "other_desktop", ...desktop];
      if (os === "macos") return ["firefox_mac", "other_desktop", ...desktop];
      return ["firefox_linux", "other_desktop", ...desktop];
    case "chrome":
    case "edge": {
      const steps: Step[] = [];
      if (browserVersion === null || browserVersion < CHROMIUM_VERSION)
        steps.push(browser === "chrome" ? "update_chrome" : "update_edge");
      steps.push("chrome_acceleration");
      if (os === "linux") steps.push("chrome_linux_flags", "linux_driver");
      if (os === "windows") steps.push("windows_driver");
      steps.push(browser === "chrome" ? "chrome_gpu_page" : "edge_gpu_page");
      return [...steps, ...desktop];
    }
    case "other":
      return ["other_desktop", ...desktop];
  }
}
