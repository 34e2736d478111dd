/** WebGPU in Node through Dawn (npm "webgpu"), on a software Vulkan driver. Browser code never imports this file. */

import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { NagiError } from "../../../src/shared/errors";
import type { Gpu } from "./gpu";
import { type OpenOptions, openGpu } from "./request";

export type DawnAdapter = "lavapipe" | "swiftshader";

const ICD_FOLDER = "/usr/share/vulkan/icd.d";
const SWIFTSHADER = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib/chromium-browser/vk_swiftshader_icd.json"];

/** The driver's manifest file, or null where it is not installed. */
function manifest(adapter: DawnAdapter): string | null {
  if (adapter === "swiftshader") return SWIFTSHADER.find((path) => existsSync(path)) ?? null;
  const name = existsSync(ICD_FOLDER)
    ? readdirSync(ICD_FOLDER).find((file) => /^lvp_icd.*\.json$/.test(file))
    : undefined;
  return name === undefined ? null : `${ICD_FOLDER}/${name}`;
}

function fromEnvironment(): DawnAdapter | undefined {
  const value = process.env.NAGI_ADAPTER;
  if (value === undefined || value === "") return undefined;
  if (value === "lavapipe" || value === "swiftshader") return value;
  throw new NagiError("gpu.no_adapter", `NAGI_ADAPTER is "${value}": use lavapipe or swiftshader`, { message: value });
}

const IS: Readonly<Record<DawnAdapter, RegExp>> = { lavapipe: /llvmpipe/i, swiftshader: /swiftshader/i };

/** Dawn stops when its GPU object is collected, whatever devices it made. */
const alive = new Set<GPU>();

export interface DawnOptions extends Pick<OpenOptions, "limits" | "largestBinding"> {
  /** Called with Dawn's `navigator.gpu` and WebGPU's global objects before a device is asked for: benchmarks lend them out. */
  readonly onGpu?: (gpu: GPU, globals: object) => void;
}

/**
 * A device on lavapipe or SwiftShader. Default: the environment's NAGI_ADAPTER, else lavapipe, else SwiftShader, else
 * (no such driver, e.g. on a laptop) whatever adapter Dawn finds. The driver is fixed by the first call in a process.
 * @throws NagiError gpu.no_adapter {message} when the driver is not installed or another one answers.
 */
export async function openDawn(adapter?: DawnAdapter, { onGpu, ...options }: DawnOptions = {}): Promise<Gpu> {
  const wanted = adapter ?? fromEnvironment();
  const choice = wanted ?? (["lavapipe", "swiftshader"] as const).find((name) => manifest(name) !== null);
  if (choice !== undefined) {
    const path = manifest(choice);
    if (path === null)
      throw new NagiError(
        "gpu.no_adapter",
        `${choice} is not installed: apt-get install mesa-vulkan-drivers chromium`,
        {
          message: `${choice} is not installed`,
        },
      );
    process.env.VK_ICD_FILENAMES = path;
  }
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  const { create, globals } = await import("webgpu");
  const gpu = create([]);
  onGpu?.(gpu, globals);
  alive.add(gpu);
  const opened = await openGpu(gpu, { ...options, patient: true, onDestroy: () => alive.delete(gpu) });
  if (choice !== undefined && !IS[choice].test(opened.adapterName)) {
    opened.destroy();
    throw new NagiError(
      "gpu.no_adapter",
      `asked for ${choice}, got ${opened.adapterName}: one process can use only one driver, and it cannot be chosen inside a worker thread`,
      { message: `asked for ${choice}, got ${opened.adapterName}` },
    );
  }
  return opened;
}
