/**
 * What `npm test` needs beyond Node's packages: Chromium with Japanese fonts, lavapipe, a Python environment for the
 * references. On Debian as root it installs them; elsewhere it says what to install and how to name what is there.
 */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { root, run, say } from "./lib.mjs";

/** lavapipe of Mesa 25 has what WebGPU asks of Vulkan, with f16 and subgroups. */
const MESA = 25;
const PYTHON = [3, 11];

/** Fields of /etc/os-release. @param {string} text */
export function parseOsRelease(text) {
  const fields = {};
  for (const line of text.split("\n")) {
    const match = /^([A-Z_]+)=("?)(.*)\2$/.exec(line.trim());
    if (match) fields[match[1]] = match[3];
  }
  return fields;
}

/**
 * The addresses (with options such as signed-by) from which apt gets `codename`'s main archive, read from the machine's
 * own sources in both formats, as one-line entries.
 * @param {{ name: string, text: string }[]} files
 * @returns {{ options: string, uri: string }[]}
 */
export function archiveSources(files, codename) {
  const found = [];
  for (const { name, text } of files) {
    if (name.endsWith(".list")) {
      for (const line of text.split("\n")) {
        const match = /^deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim());
        if (match && match[3] === codename && match[4].split(/\s+/).includes("main"))
          found.push({ options: (match[1] ?? "").trim(), uri: match[2] });
      }
    } else if (name.endsWith(".sources")) {
      for (const stanza of text.split(/\n\s*\n/)) {
        const field = (key) => new RegExp(`^${key}:\\s*(.*)$`, "im").exec(stanza)?.[1]?.trim() ?? "";
        const has = (key, value) => field(key).split(/\s+/).includes(value);
        if (!has("Types", "deb") || !has("Suites", codename) || !has("Components", "main")) continue;
        if (/^enabled:\s*no/im.test(stanza)) continue;
        const key = field("Signed-By");
        const options = key.startsWith("/") ? `[signed-by=${key}]` : "";
        for (const uri of field("URIs").split(/\s+/)) if (uri) found.push({ options, uri });
      }
    }
  }
  return found;
}

/** Major version of a Debian version string, 0 where there is none. @param {string} version */
export const majorVersion = (version) => Number(/^(?:\d+:)?(\d+)/.exec(version.trim())?.[1] ?? 0);

async function installedVersion(name) {
  const { code, output } = await run("dpkg", ["-s", name], { capture: true, env: { LC_ALL: "C" } });
  const version = /^Version: (\S+)$/m.exec(output)?.[1] ?? "";
  return code === 0 && /^Status: .* installed$/m.test(output) ? version : "";
}

async function candidateVersion(name, options) {
  const { output } = await run("apt-cache", [...options, "policy", name], { capture: true, env: { LC_ALL: "C" } });
  return /Candidate:\s*(\S+)/.exec(output)?.[1] ?? "";
}

function readSources() {
  const folder = "/etc/apt/sources.list.d";
  const paths = ["/etc/apt/sources.list"];
  if (existsSync(folder)) for (const name of readdirSync(folder)) paths.push(join(folder, name));
  return paths.filter((path) => existsSync(path)).map((path) => ({ name: path, text: readFileSync(path, "utf8") }));
}

async function apt(...args) {
  const { code } = await run("apt-get", args, { env: { DEBIAN_FRONTEND: "noninteractive" } });
  if (code !== 0) throw new Error(`apt-get ${args.join(" ")} failed`);
}

const installArguments = ["install", "-y", "--no-install-recommends"];

/** Installs lavapipe >= 25: from the release itself where it has it, else from its backports by way of the same mirror. */
async function installMesa(codename) {
  const name = "mesa-vulkan-drivers";
  const enough = (version) => majorVersion(version) >= MESA;
  if (enough(await candidateVersion(name, []))) await apt(...installArguments, name);
  else {
    const suite = `${codename}-backports`;
    const sources = archiveSources(readSources(), codename);
    if (sources.length === 0)
      throw new Error(`no apt source of ${codename} main found: install ${name} ${MESA} or newer`);
    // A list of our own beside the machine's, for these two calls only.
    const folder = mkdtempSync(join(tmpdir(), "nagi-apt-"));
    try {
      const parts = join(folder, "parts");
      mkdirSync(parts);
      for (const { name: path } of readSources()) copyFileSync(path, join(parts, path.split("/").pop()));
      writeFileSync(
        join(parts, "nagi.list"),
        sources.map(({ options, uri }) => `deb ${options} ${uri} ${suite} main\n`).join(""),
      );
      const ours = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${parts}`];
      await apt(...ours, "update");
      await apt(...ours, ...installArguments, "-t", suite, name);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const version = await installedVersion(name);
  if (!enough(version)) throw new Error(`${name} is ${version || "missing"}, ${MESA} or newer is needed`);
}

async function prepareDebian(codename) {
  const wanted = ["chromium", "fonts-noto-cjk", "python3-venv"];
  const missing = [];
  for (const name of wanted) if ((await installedVersion(name)) === "") missing.push(name);
  const oldMesa = majorVersion(await installedVersion("mesa-vulkan-drivers")) < MESA;
  if (missing.length === 0 && !oldMesa) return;
  say(`nagi: installing with apt: ${[...missing, ...(oldMesa ? ["mesa-vulkan-drivers"] : [])].join(" ")}`);
  await apt("update");
  if (missing.length > 0) await apt(...installArguments, ...missing);
  if (oldMesa) await installMesa(codename);
}

const onPath = (name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));

const firstExisting = (paths) => paths.find((path) => path && existsSync(path)) ?? null;

/** Chromium's executable: NAGI_CHROMIUM, else the usual places; null where there is none. */
export function findChromium() {
  return firstExisting([
    process.env.NAGI_CHROMIUM ?? "",
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ...onPath("chromium"),
    ...onPath("google-chrome"),
  ]);
}

function missingElsewhere() {
  const icd = "/usr/share/vulkan/icd.d";
  const lavapipe = existsSync(icd) && readdirSync(icd).some((name) => name.startsWith("lvp_icd"));
  const missing = [];
  if (findChromium() === null) missing.push("Chromium 126 or newer (or set NAGI_CHROMIUM to its executable)");
  if (!lavapipe) missing.push(`Mesa's lavapipe ${MESA} or newer (package mesa-vulkan-drivers) for the GPU tests`);
  return missing;
}

async function findPython() {
  for (const name of [process.env.NAGI_PYTHON, "python3", "python3.13", "python3.12", "python3.11", "python"]) {
    if (!name) continue;
    const probe = await run(name, ["-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"], {
      capture: true,
    }).catch(() => null);
    const version = probe?.code === 0 ? probe.output.trim().split(" ").map(Number) : [0, 0];
    if (version[0] === PYTHON[0] && version[1] >= PYTHON[1]) return name;
  }
  throw new Error(`Python ${PYTHON.join(".")} or newer with venv is needed (or set NAGI_PYTHON to its executable)`);
}

/** The references' Python, in a venv outside the clone, made once for each state of the lock. @returns {Promise<string>} */
export async function ensurePython() {
  const lock = join(root, "workers", "remote", "requirements.lock");
  const text = readFileSync(lock, "utf8");
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const venv = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nagi", `venv-${hash}`);
  const python = process.platform === "win32" ? join(venv, "Scripts", "python.exe") : join(venv, "bin", "python");
  const complete = join(venv, ".complete");
  if (existsSync(complete) && existsSync(python)) return python;
  say(`nagi: making the Python environment of the references in ${venv}`);
  rmSync(venv, { recursive: true, force: true });
  const step = async (command, args) => {
    const { code } = await run(command, args);
    if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
  };
  await step(await findPython(), ["-m", "venv", venv]);
  const pip = ["-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"];
  const torch = /^torch==\S+/m.exec(text)?.[0];
  if (!torch) throw new Error(`${lock} names no torch version`);
  await step(python, [...pip, torch]);
  await step(python, [...pip, "-r", lock]);
  writeFileSync(complete, "");
  return python;
}

/** Installs or asks for the system's part. Throws with a list of what to install where it cannot do it itself. */
export async function prepareSystem() {
  const release = existsSync("/etc/os-release") ? parseOsRelease(readFileSync("/etc/os-release", "utf8")) : {};
  const debianRoot = release.ID === "debian" && process.getuid?.() === 0;
  if (debianRoot) await prepareDebian(release.VERSION_CODENAME ?? "");
  const missing = missingElsewhere();
  if (missing.length > 0)
    throw new Error(
      `please install what is missing, then run npm test again:\n${missing.map((line) => `  - ${line}`).join("\n")}`,
    );
}
