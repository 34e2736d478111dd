/**
 * `npm start`: from a fresh clone to the open studio. Installs, builds and serves. Options: --port N; --host ADDRESS (also
 * for other machines); --relay (live ratings, and workers behind NAT) with --relay-data FOLDER, --public-url URL,
 * --allow-origin URL, --allow-hosting. docs/live-rating.md says what they mean.
 */
import "./node-version.mjs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { reachableAt } from "./hosts.mjs";
import { ensureBuilt, ensureInstalled, say } from "./lib.mjs";
import { serve } from "./serve.mjs";

const DEFAULT_PORT = 4173;

function readUrl(name, text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return url.origin;
  throw new Error(`--${name} ${text}: an address such as https://nagi.example.org`);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      host: { type: "string" },
      relay: { type: "boolean", default: false },
      "relay-data": { type: "string" },
      "public-url": { type: "string" },
      "allow-origin": { type: "string", multiple: true, default: [] },
      "allow-hosting": { type: "boolean", default: false },
    },
  });
  const port = values.port === undefined ? null : Number(values.port);
  if (port !== null && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new Error(`--port ${values.port}: a port is a whole number from 1 to 65535`);
  const only = ["relay-data", "public-url", "allow-origin", "allow-hosting"];
  const idle = only.find(
    (name) => !values.relay && values[name] !== undefined && values[name] !== false && String(values[name]) !== "",
  );
  if (idle !== undefined) throw new Error(`--${idle} belongs to --relay: npm start -- --relay --${idle} …`);
  const url = values["public-url"];
  return {
    port,
    host: values.host ?? null,
    publicUrl: url === undefined ? null : readUrl("public-url", url),
    relay: values.relay,
    relayData: resolve(values["relay-data"] ?? defaultFolder()),
    origins: values["allow-origin"].map((origin) => readUrl("allow-origin", origin)),
    anyoneHosts: values["allow-hosting"],
  };
}

/** Where programs keep their data on this system. */
function defaultFolder() {
  const base =
    process.env.XDG_DATA_HOME ||
    (process.platform === "win32" ? process.env.LOCALAPPDATA : undefined) ||
    join(homedir(), ".local", "share");
  return join(base, "nagi", "relay");
}

async function openRelay({ relayData, publicUrl, origins, anyoneHosts }, addresses) {
  const folder = await ensureBuilt("relay");
  const { createRelay } = await import(pathToFileURL(join(folder, "main.js")).href);
  return createRelay({
    folder: relayData,
    public_url: publicUrl,
    studio_origins: origins,
    anyone_hosts: anyoneHosts,
    addresses,
    say,
  });
}

function announce(options, port, addresses) {
  console.log(`\n  Nagi  http://localhost:${port}/\n`);
  console.log(`  このアドレスを Chrome か Edge で開いてください。終えるには Ctrl+C。`);
  console.log(`  Open this address in Chrome or Edge. Ctrl+C ends it.\n`);
  if (!options.relay) {
    if (options.host !== null) console.log(`  ほかの端末から / from other machines: ${addresses.join("  ")}\n`);
    return;
  }
  console.log(`  ライブ評価とワーカーを中継しています。/ Relaying live ratings and workers.`);
  console.log(`  評価者のリンク / raters' links:  ${addresses.map((address) => `${address}/live/CODE`).join("  ")}`);
  console.log(`  ワーカー / workers:  nagi-worker join ${addresses[0].replace(/^http/, "ws")}/relay/worker`);
  console.log(`  データ / data:  ${options.relayData}`);
  if (options.host === null && options.publicUrl === null)
    console.log(`  ほかの端末からも開くには / for other machines as well:  npm start -- --relay --host 0.0.0.0`);
  console.log("");
}

async function main() {
  const options = readOptions();
  await ensureInstalled();
  const folder = await ensureBuilt("app");
  let port = options.port ?? DEFAULT_PORT;
  const addresses = () => reachableAt({ ...options, port });
  const relay = options.relay ? await openRelay(options, addresses) : null;
  let server;
  try {
    const { host, publicUrl } = options;
    server = await serve({ folder, port, tries: options.port === null ? 50 : 1, host, publicUrl, relay });
  } catch (error) {
    await relay?.close();
    if (error.code === "EADDRINUSE")
      throw new Error(`port ${port} is taken: choose another with "npm start -- --port N"`);
    if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
      throw new Error(
        `--host ${options.host}: this machine does not have that address; --host 0.0.0.0 takes all it has`,
      );
    throw error;
  }
  port = server.port;
  announce(options, port, addresses());
  const end = async () => {
    await relay?.close();
    await server.close();
    process.exit(0);
  };
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
}

main().catch((error) => {
  say(`nagi: ${error.message}`);
  process.exit(1);
});
