/** The relay's process is killed (-9) at any moment: what it acknowledged is there when it runs again. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { build } from "vite";
import { expect, it } from "vitest";
import WebSocket from "ws";
import { raterReply } from "../../src/shared/protocol/live";
import { freshFolder, makeSession } from "./harness";

const SECRET = "cd".repeat(32);
const KEY = "ab".repeat(32);

/** The relay's bundle, as `npm start -- --relay` loads it. */
async function bundle(folder: string): Promise<string> {
  await build({ mode: "relay", logLevel: "error", build: { ssr: true, outDir: folder, emptyOutDir: true } });
  const main = pathToFileURL(join(folder, "main.js")).href;
  const script = join(folder, "serve.mjs");
  writeFileSync(
    script,
    `import { createServer } from "node:http";
import { createRelay } from ${JSON.stringify(main)};
const relay = await createRelay({ folder: process.argv[2], public_url: null, studio_origins: [], anyone_hosts: false,
  addresses: () => [], say: console.error });
const server = createServer();
relay.attach(server);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`,
  );
  return script;
}

async function run(script: string, folder: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [script, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.once("data", (data) => resolve(Number(String(data))));
    child.once("exit", (code) => reject(new Error(`the relay ended with ${code}`)));
  });
  return { child, port };
}

/** Sends requests at once and gives the answers that came before the end. */
function ask(
  port: number,
  path: string,
  requests: readonly object[],
  enough: (answers: object[]) => void,
): Promise<Record<string, unknown>[]> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    const answers: Record<string, unknown>[] = [];
    socket.on("open", () => {
      for (const request of requests) socket.send(JSON.stringify(request));
    });
    socket.on("message", (data) => {
      answers.push(JSON.parse(String(data)));
      enough(answers);
      if (answers.length >= requests.length) socket.close();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answers));
  });
}

it("has every acknowledged vote after kill -9, whenever it comes", async () => {
  const script = await bundle(freshFolder());
  const folder = freshFolder();
  const session = makeSession({ items: makeSession().items, repeats: 10 });
  const showings = session.items.length + session.repeats;
  const kept = new Map<number, number>();
  let code = "";
  for (let round = 0; round < 6; round++) {
    const { child, port } = await run(script, folder);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const [hosted] = await ask(
      port,
      "/live/host",
      [{ type: "host", request_id: 0, host_key: KEY, session }],
      () => undefined,
    );
    if (code !== "") expect(hosted?.code).toBe(code);
    code = String(hosted?.code);
    const votes = Array.from({ length: showings }, (_, number) => ({
      type: "vote",
      request_id: number + 1,
      vote: { number, choice: "left", ms: round * 1000 + number },
    }));
    const join_ = { type: "join", request_id: 0, code, rater: "花子", rater_secret: SECRET, with_page: false };
    // Killed after the first few, after many, ... acknowledgements, with more on their way.
    const answers = await ask(port, "/live", [join_, ...votes], ({ length }) => {
      if (length === 2 + round * 5) child.kill("SIGKILL");
    });
    await ended;
    const [first, ...acknowledged] = answers;
    const joined = raterReply.parse(first);
    if (joined.type !== "joined") throw new Error(`joined by ${joined.type}`);
    expect(joined.answers.length).toBeGreaterThanOrEqual(kept.size);
    for (const { number, ms } of joined.answers)
      expect(ms, `vote ${number} of round ${round}`).toBeGreaterThanOrEqual(kept.get(number) ?? 0);
    for (const { type, request_id } of acknowledged) {
      expect(type).toBe("ok");
      const number = Number(request_id) - 1;
      kept.set(number, round * 1000 + number);
    }
    expect(kept.size).toBeGreaterThan(0);
    const lines = readFileSync(join(folder, "live", code, "votes.jsonl"), "utf8").split("\n");
    for (const number of kept.keys())
      expect(
        lines.some((line) => line.includes(`"number":${number},`) && line.includes(`"ms":${kept.get(number)}`)),
      ).toBe(true);
  }
}, 120_000);
