/** The nagi command line. stdout carries results only; talk goes to stderr. */
import process from "node:process";
import { parseArgs } from "node:util";
import { toErrorData } from "../../src/shared/errors";
import type { DawnAdapter } from "../engine/gpu/dawn";
import type { Control } from "../engine/train/stage";
import { generateCommand } from "./generate";
import { EXIT, runCommand } from "./run";
import { verdictCommand } from "./verdict";
import { verifyCommand } from "./verify";

const USAGE = `usage: npm run --silent nagi -- COMMAND

  run FILE.json --out DIR   runs the stages of FILE.json and writes into DIR:
                            report.json and, for one stage, metrics.jsonl, checkpoint/ and what it made (model/ in
                            Hugging Face layout, adapter/ in PEFT's); for several stages report.html and the same
                            in stages/ID/; prints their figures and a table of texts (Markdown)
      --set PATH=VALUE      overrides a field, e.g. --set seed=7 --set data.train=my.csv
                            --set stages.0.learning_rate=1e-4 --set data.test=null; may be repeated
      --adapter NAME        lavapipe or swiftshader (default: NAGI_ADAPTER, else what is installed)
      --resume              keeps finished stages and continues from the checkpoint in DIR
      --from ID             keeps the stages before ID and runs ID and all after it anew
  verify DIR                runs one case against its expected values, prints one JSON object
  verdict VOTES.jsonl       says what people's votes say about two models, prints one JSON object. A line is one vote
                            {rater, item, left, right, choice: "left"|"right"|"tie"|"both_bad"|"skip", ms};
                            keys and conventions: docs/verdict.md
  generate MODEL_DIR --prompt TEXT...
                            continues every text with a model (a folder, or bundled:nagi-base) and prints one JSON
                            object a line: {prompt, text, tokens, finished}; text is the continuation alone, tokens
                            its length (EOS included), finished whether it ended by itself
      --adapter DIR         with a LoRA adapter in PEFT's format
      --max-new-tokens N    at most so many tokens a text (default 40)
      --temperature T       default 1; 0 takes the likeliest token
      --top-k K  --top-p P  as in transformers; default 0 (off) and 1 (off)
      --seed S              default 0; the same seed writes the same texts
                            (GPU: the environment's NAGI_ADAPTER, lavapipe or swiftshader)
  bench                     our kernels, training step and generation beside other libraries: bench --help
  --help                    this text

Ctrl-C during a run writes a checkpoint and exits with 130. Exit codes: 0 done, 1 the run or the case failed,
2 the command, a file or the configuration is wrong.
`;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function usageError(problem: string): number {
  say(`nagi: ${problem}\n\n${USAGE}`);
  return EXIT.usage;
}

/** The first SIGINT or SIGTERM asks for a checkpoint; one that comes two seconds later or more ends at once. */
function interruptible(): Control {
  let asked: number | null = null;
  const onSignal = (): void => {
    const now = performance.now();
    // npm passes on the signal that the terminal has already sent to the whole group: that is not a second wish.
    if (asked !== null && now - asked > 2000) process.exit(EXIT.interrupted);
    if (asked === null) say("writing a checkpoint; Ctrl-C again to give up at once");
    asked ??= now;
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return { state: () => (asked === null ? "run" : "pause") };
}

const isAdapter = (name: string): name is DawnAdapter => name === "lavapipe" || name === "swiftshader";

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: "string" },
      set: { type: "string", multiple: true },
      adapter: { type: "string" },
      resume: { type: "boolean" },
      from: { type: "string" },
    },
  });
  const [file, ...rest] = positionals;
  if (file === undefined) return usageError("run needs a configuration file");
  if (rest.length > 0) return usageError(`run takes one file, not also ${rest.join(" ")}`);
  if (values.out === undefined) return usageError("run needs --out DIR");
  const { adapter } = values;
  if (adapter !== undefined && !isAdapter(adapter)) return usageError(`there is no adapter ${adapter}`);
  return runCommand({
    file,
    out: values.out,
    set: values.set ?? [],
    ...(adapter === undefined ? {} : { adapter }),
    resume: values.resume ?? false,
    from: values.from ?? null,
    say,
    print: (text) => void process.stdout.write(`${text}\n`),
    control: interruptible(),
  });
}

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (args.includes("--help") || args.includes("-h") || command === "help") {
    process.stdout.write(USAGE);
    return EXIT.ok;
  }
  try {
    if (command === "run") return await run(rest);
    if (command === "verify") return await verifyCommand(rest);
    if (command === "verdict") return await verdictCommand(rest, say);
    if (command === "generate") return await generateCommand(rest);
    return usageError(command === undefined ? "which command?" : `there is no command ${command}`);
  } catch (error) {
    if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))
      return usageError(error.message);
    const { code, message } = toErrorData(error);
    say(code === "internal" && error instanceof Error ? (error.stack ?? message) : `nagi: ${code}: ${message}`);
    return EXIT.usage;
  }
}

process.exit(await main(process.argv.slice(2)));
