/**
 * What the launchers share: Node's version, the installation from the lock, builds that follow the sources.
 * Plain Node without dependencies, since it runs before anything is installed.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[/\\]$/, "");

/** Anything the launchers want to tell a person: never stdout, which belongs to the command's result. */
export const say = (...lines) => process.stderr.write(`${lines.join("\n")}\n`);

/**
 * Runs a program. Its stdout goes to our stderr unless `stdout` says otherwise.
 * @returns {Promise<{ code: number, output: string }>} exit code (1 where a signal ended it) and, with `capture`, its output
 */
export function run(command, args, { cwd = root, env = {}, capture = false, stdout = 2, shell = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: capture ? ["ignore", "pipe", "pipe"] : ["ignore", stdout, 2],
      shell,
    });
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr?.on("data", (chunk) => {
      output += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** npm itself, also where it is a .cmd file. */
function npm(args) {
  const script = process.env.npm_execpath;
  if (script && /npm-cli\.c?js$/.test(script)) return run(process.execPath, [script, ...args]);
  return process.platform === "win32" ? run(`npm ${args.join(" ")}`, [], { shell: true }) : run("npm", args);
}

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** true when node_modules holds what package-lock.json asks for. */
export function isInstalled(directory = root) {
  const lock = join(directory, "package-lock.json");
  const modules = join(directory, "node_modules");
  const hidden = join(modules, ".package-lock.json");
  const stamp = join(modules, ".nagi-lock");
  if (!existsSync(hidden)) return false;
  if (existsSync(stamp)) return readFileSync(stamp, "utf8") === sha256(readFileSync(lock));
  return statSync(hidden).mtimeMs >= statSync(lock).mtimeMs;
}

/** Installs exactly the lock where node_modules is missing or belongs to another lock. Throws with the way out. */
export async function ensureInstalled() {
  if (isInstalled()) return;
  await locked("install", async () => {
    if (isInstalled()) return;
    say("nagi: installing packages (npm ci) … / パッケージを入れています(npm ci)…");
    const { code } = await npm(["ci", "--include=dev", "--include=optional", "--no-fund", "--no-audit"]);
    if (code !== 0)
      throw new Error("npm ci failed: check the network and try again / npm ci に失敗しました。接続を確かめてください");
    writeFileSync(join(root, "node_modules", ".nagi-lock"), sha256(readFileSync(join(root, "package-lock.json"))));
  });
}

/** What shapes no build. */
const NOT_SOURCES = /(^|\/)(node_modules|golden|remote|__pycache__)(\/|$)|\.test\.tsx?$/;

/** All files below `paths` (files or folders, relative to `base`) but those that match `skip`, sorted, with forward slashes. */
export function sourceFiles(paths, base = root, skip = NOT_SOURCES) {
  const files = [];
  const walk = (path) => {
    const name = relative(base, path).split(sep).join("/");
    if (skip.test(name)) return;
    if (statSync(path).isDirectory()) for (const entry of readdirSync(path)) walk(join(path, entry));
    else files.push(name);
  };
  for (const path of paths) if (existsSync(join(base, path))) walk(join(base, path));
  return files.sort();
}

/** Changes when a source's name or content changes. Bundled data counts by size and time: it is large. */
export function fingerprint(paths, base = root) {
  const hash = createHash("sha256");
  for (const file of sourceFiles(paths, base)) {
    hash.update(`\0${file}\0`);
    if (file.startsWith("public/")) {
      const { size, mtimeMs } = statSync(join(base, file));
      hash.update(`${size} ${mtimeMs}`);
    } else hash.update(readFileSync(join(base, file)));
  }
  return hash.digest("hex");
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

/** Runs `work` while no other launcher of this clone does the same: two may be started at once. */
async function locked(name, work) {
  const lock = join(root, `.nagi-${name}.lock`);
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    let owner = 0;
    try {
      owner = Number(readFileSync(lock, "utf8"));
    } catch {
      continue; // released in between
    }
    if (owner > 0 && !alive(owner)) rmSync(lock, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

const BUILDS = {
  app: {
    sources: ["index.html", "src", "workers", "public", "vite.config.ts", "package-lock.json"],
    main: "index.html",
    args: [],
  },
  headless: {
    sources: ["src/shared", "workers", "vite.config.ts", "package-lock.json"],
    main: "main.js",
    args: ["--ssr"],
  },
  bench: {
    sources: ["src/shared", "workers", "vite.config.ts", "package-lock.json"],
    main: "main.js",
    args: ["--ssr", "--mode", "bench"],
  },
  relay: {
    sources: ["src/shared", "workers/relay", "vite.config.ts", "package-lock.json"],
    main: "main.js",
    args: ["--ssr", "--mode", "relay"],
  },
};

/**
 * Builds `dist/app`, `dist/headless`, `dist/bench` or `dist/relay` where the sources changed since. The old build stays until the new
 * one is whole.
 * @param {"app" | "headless" | "bench" | "relay"} name
 * @returns {Promise<string>} the folder
 */
export async function ensureBuilt(name) {
  const { sources, main, args } = BUILDS[name];
  const folder = join(root, "dist", name);
  const stamp = join(folder, ".fingerprint");
  const fresh = () =>
    existsSync(stamp) && existsSync(join(folder, main)) && readFileSync(stamp, "utf8") === fingerprint(sources);
  if (fresh()) return folder;
  await locked(`build-${name}`, async () => {
    if (fresh()) return;
    say(`nagi: building ${name} … / ビルドしています(${name})…`);
    const print = fingerprint(sources);
    const next = join(root, "dist", `.${name}-${process.pid}`);
    mkdirSync(join(root, "dist"), { recursive: true });
    const vite = join(root, "node_modules", "vite", "bin", "vite.js");
    const { code, output } = await run(
      process.execPath,
      [vite, "build", ...args, "--outDir", next, "--emptyOutDir", "--logLevel", "warn"],
      { capture: true, env: { NO_COLOR: "1" } },
    );
    if (code !== 0) {
      rmSync(next, { recursive: true, force: true });
      throw new Error(`the build of ${name} failed / ビルドに失敗しました:\n${output}`);
    }
    writeFileSync(join(next, ".fingerprint"), print);
    const old = `${next}-old`;
    if (existsSync(folder)) renameSync(folder, old);
    renameSync(next, folder);
    rmSync(old, { recursive: true, force: true });
  });
  return folder;
}
