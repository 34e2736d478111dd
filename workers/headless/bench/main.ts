/** `nagi bench`: ours beside jax-js, TensorFlow.js and onnxruntime-web on one adapter. Results on stdout, talk on stderr. */

import { writeFile } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import { toErrorData } from "../../../src/shared/errors";
import { EXIT } from "../run";
import { markdown } from "./report";
import { rooflineMarkdown } from "./roofline";
import { CASES, PARTS, type Part, PEERS, type Peer, runBench } from "./run";

const USAGE = `usage: npm run --silent bench -- [options]

Times matrix products at the models' own sizes, a training step (forward, backward, AdamW) at two sizes, a forward pass
and generation: ours, and where they can, jax-js, TensorFlow.js and onnxruntime-web on the same adapter. Prints tables:
medians of interleaved runs. Measure on a machine that does nothing else; it takes some minutes on a software adapter.

  --json FILE      also writes everything to FILE
  --only PARTS     of ${PARTS.join(",")}
  --cases NAMES    of ${CASES.map(({ name }) => name).join(",")}
  --peers NAMES    of ${PEERS.join(",")}, or none
  --rounds N       measurements each (default 5)
  --adapter NAME   lavapipe or swiftshader (default: NAGI_ADAPTER, else what is installed)
  --roofline       measures nothing: prints FLOPs, bytes and least times of open-calm-small's training steps
  --config FILE    another model's config.json for --roofline

NAGI_PYTHON names a Python with torch and transformers, for PyTorch's step on the CPU beside them.
`;

class UsageError extends Error {}

function chosen<T extends string>(option: string, value: string | undefined, known: readonly T[]): Set<T> {
  if (value === undefined) return new Set(known);
  if (value === "none") return new Set();
  return new Set(
    value.split(",").map((name) => {
      const found = known.find((one) => one === name.trim());
      if (found === undefined) throw new UsageError(`--${option} knows ${known.join(", ")}, not ${name}`);
      return found;
    }),
  );
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "string" },
      only: { type: "string" },
      cases: { type: "string" },
      peers: { type: "string" },
      rounds: { type: "string", default: "5" },
      adapter: { type: "string" },
      roofline: { type: "boolean" },
      config: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return EXIT.ok;
  }
  if (values.roofline) {
    process.stdout.write(await rooflineMarkdown(values.config));
    return EXIT.ok;
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds is ${values.rounds}, not a positive number`);
  const { adapter } = values;
  if (adapter !== undefined && adapter !== "lavapipe" && adapter !== "swiftshader")
    throw new UsageError(`there is no adapter ${adapter}`);
  const names = chosen(
    "cases",
    values.cases,
    CASES.map(({ name }) => name),
  );
  const { report, agreed } = await runBench({
    ...(adapter === undefined ? {} : { adapter }),
    parts: chosen<Part>("only", values.only, PARTS),
    peers: chosen<Peer>("peers", values.peers, PEERS),
    cases: CASES.filter(({ name }) => names.has(name)),
    rounds,
    say: (line) => void process.stderr.write(`${line}\n`),
  });
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(markdown(report));
  return agreed ? EXIT.ok : EXIT.failed;
}

try {
  // nagi passes its own command on.
  process.exit(await main(process.argv.slice(2).filter((argument, index) => index > 0 || argument !== "bench")));
} catch (error) {
  const usage =
    error instanceof UsageError ||
    (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"));
  const { code, message } = toErrorData(error);
  if (usage) process.stderr.write(`nagi bench: ${error.message}\n\n${USAGE}`);
  else
    process.stderr.write(
      `${code === "internal" && error instanceof Error ? error.stack : `nagi: ${code}: ${message}`}\n`,
    );
  process.exit(EXIT.usage);
}
