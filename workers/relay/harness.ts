/** For tests: a relay on a server of its own, and sessions to host. */
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RatingSession } from "../../src/shared/protocol/rating";
import { createRelay, type RelayOptions } from "./main";

export interface RunningRelay {
  readonly port: number;
  /** http://127.0.0.1:PORT/ */
  readonly base: string;
  readonly folder: string;
  close(): Promise<void>;
}

export const freshFolder = (): string => mkdtempSync(join(tmpdir(), "nagi-relay-"));

/** Starts a relay; `port` 0 takes a free one. Answers /relay.json as .ci/serve.mjs does. */
export async function startRelay(
  options: Partial<RelayOptions> & { folder?: string; port?: number } = {},
): Promise<RunningRelay> {
  const folder = options.folder ?? freshFolder();
  const relay = await createRelay({
    public_url: null,
    studio_origins: [],
    anyone_hosts: false,
    addresses: () => ["http://relay.test"],
    say: () => undefined,
    ...options,
    folder,
  });
  const server = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"relay":true}');
  });
  relay.attach(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    base: `http://127.0.0.1:${port}/`,
    folder,
    async close() {
      await relay.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function makeSession(part: Partial<RatingSession> = {}): RatingSession {
  const models = part.models ?? ["sft-model", "ppo-model"];
  return {
    id: "session-1",
    name: "夜の評価",
    created: 1_700_000_000_000,
    question: "どちらが肯定的なレビューとして良いですか?",
    models,
    items: Array.from({ length: 20 }, (_, at) => ({
      item: `item-${at}`,
      prompt: `映画${at}は`,
      texts: models.map((model, which) => ({
        model,
        text: `文章${at}の${which}番`,
        rewards: { 報酬: at + which / 10 },
      })),
    })),
    allow_tie: true,
    allow_both_bad: true,
    pairs_per_item: 1,
    repeats: 2,
    seed: 1234,
    hide_reward: true,
    parents: [],
    ...part,
  };
}
