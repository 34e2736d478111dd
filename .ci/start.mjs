/** `npm start`: from a fresh clone to the open studio. Installs, builds and serves; `-- --port N` picks the port. */
import "./node-version.mjs";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, say } from "./lib.mjs";
import { serve } from "./serve.mjs";

const DEFAULT_PORT = 4173;

function readPort() {
  const { values } = parseArgs({ options: { port: { type: "string" } } });
  if (values.port === undefined) return null;
  const port = Number(values.port);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new Error(`--port ${values.port}: a port is a whole number from 1 to 65535`);
}

async function main() {
  const port = readPort();
  await ensureInstalled();
  const folder = await ensureBuilt("app");
  let server;
  try {
    server = await serve({ folder, port: port ?? DEFAULT_PORT, tries: port === null ? 50 : 1 });
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    throw new Error(`port ${port ?? DEFAULT_PORT} is taken: choose another with "npm start -- --port N"`);
  }
  const url = `http://localhost:${server.port}/`;
  console.log(`\n  Nagi  ${url}\n`);
  console.log(`  このアドレスを Chrome か Edge で開いてください。終えるには Ctrl+C。`);
  console.log(`  Open this address in Chrome or Edge. Ctrl+C ends it.\n`);
  const end = async () => {
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
