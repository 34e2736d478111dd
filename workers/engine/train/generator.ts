/**
 * Continues texts with the weights of a store, on the GPU: the prompts fill a KV cache in one pass, then every step draws
 * one token for each text of a batch. Several steps go into one submit; the host looks only now and then whether all texts
 * have ended. Plans are made once per size of batch; after that generating allocates and compiles nothing.
 */

import { NagiError } from "../../../src/shared/errors";
import type { GenerationConfig } from "../../../src/shared/protocol/stages";
import type { BufferSlice, Dispatch, Gpu } from "../gpu/gpu";
import { type CacheSize, recordDecode, recordPrefill, stateBytes } from "../model/generate";
import { inverseFrequencies, Parameters } from "../model/neox";
import type { NeoxConfig } from "../model/neox-config";
import type { ParameterStore } from "../model/params";
import { TEXT, TEXT_FIELDS } from "../ops/sample-token";
import { Arena } from "../plan/arena";
import { compilePlan, type Plan } from "../plan/execute";
import { Graph } from "../plan/record";
import { checkToken, fillStream } from "./batch";

export interface GeneratorOptions extends CacheSize {
  /** false: the store's adapters are left out. */
  readonly adapter: boolean;
  /** Tokens of the longest prompt: where given, the largest pass over prompts is prepared at once, not when it comes. */
  readonly max_prompt?: number;
}

export interface GenerateOptions extends GenerationConfig {
  /** Up to 2^53; equal seeds give equal texts. */
  readonly seed: number;
  /** Ends a text; null: none does. */
  readonly eos_token_id: number | null;
}

export interface Generated {
  /** New tokens of each text, its EOS included. */
  readonly ids: Int32Array[];
  /**
   * Of each new token: its log-probability under the softmax of all logits / temperature (of the logits themselves where
   * the temperature is 0), whatever top_k and top_p leave out.
   */
  readonly logprobs: Float32Array[];
  /** Whether the text ended with EOS, not by its length. */
  readonly finished: boolean[];
}

/** Decode steps of a submit: the host looks at the texts after each of these. */
const STEPS = 8;
/** Tokens of a prefill pass, unless a single prompt is longer. */
const PREFILL = 2048;
const SMALLEST_PREFILL = 64;

/** The plan's size for `count`: the next power of two, so that few plans serve all. */
const roundUp = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, count)));

const prefillSize = (tokens: number): number => Math.max(SMALLEST_PREFILL, roundUp(tokens));

interface Decoder {
  readonly plan: Plan;
  /** STEPS steps, one after another. */
  readonly steps: readonly Dispatch[];
}

export class Generator {
  readonly #plans = new Map<string, Promise<Plan>>();
  readonly #decoders = new Map<string, Promise<Decoder>>();
  #step: readonly Dispatch[] = [];
  /** Calls use the same cache: each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly gpu: Gpu,
    private readonly config: NeoxConfig,
    private readonly store: ParameterStore,
    private readonly options: GeneratorOptions,
    private readonly arena: Arena,
    private readonly states: ReadonlyMap<string, BufferSlice>,
  ) {}

  /**
   * Allocates the cache and prepares the step of a full batch (and see `max_prompt`). The store stays the caller's, and is
   * read anew by every generate(): a Trainer may go on training it.
   * @throws NagiError gpu.limit {what, needed, granted} where the cache is larger than a binding may be, gpu.out_of_memory.
   */
  static async create(
    gpu: Gpu,
    config: NeoxConfig,
    store: ParameterStore,
    options: GeneratorOptions,
  ): Promise<Generator> {
    const { max_texts, max_length } = options;
    for (const [name, value] of Object.entries({ max_texts, max_length }))
      if (!Number.isInteger(value) || value < 1) throw new Error(`${name} is ${value}, not a positive integer`);
    const granted = gpu.capabilities.maxStorageBufferBindingSize;
    const sizes = stateBytes(config, options);
    for (const [name, bytes] of sizes)
      if (bytes > granted)
        throw new NagiError(
          "gpu.limit",
          `the cache of ${max_texts} texts of ${max_length} tokens needs ${bytes} bytes a layer, the adapter binds at most ` +
            `${granted} (maxStorageBufferBindingSize): generate fewer texts at a time, or shorter ones`,
          { what: `cache ${name}`, needed: bytes, granted },
        );
    const arena = new Arena(gpu);
    const states = new Map([...sizes].map(([name, bytes]) => [name, arena.own(name, Math.ceil(bytes / 16) * 16)]));
    const generator = new Generator(gpu, config, store, options, arena, states);
    const seen = (options.max_prompt ?? 1) - 1;
    const pass = Math.min(Math.max(PREFILL, seen), max_texts * seen);
    if (pass > 0) await generator.#prefiller(prefillSize(pass));
    const { plan } = await generator.#decoder(max_texts, false);
    generator.#step = plan.writing.dispatches;
    return generator;
  }

  /** What one token for each text of a full batch takes: for estimates of its time. */
  get stepDispatches(): readonly Dispatch[] {
    return this.#step;
  }

  /** Bytes of its own GPU memory: cache and activations. */
  get bytes(): number {
    return this.arena.bytes;
  }

  /**
   * Continues every prompt (token ids, at least one) until EOS, max_new_tokens or max_length tokens in all. More prompts
   * than max_texts are done in turns. What is drawn for prompt i depends on the seed, i and the text so far, not on the
   * other prompts.
   * Rejects with data.empty {file} for a prompt without tokens, config.invalid where one leaves no room for another token,
   * model.bad_tokenizer for a token the model does not have, gpu.lost.
   */
  generate(prompts: readonly Int32Array[], options: GenerateOptions): Promise<Generated> {
    const { max_texts } = this.options;
    for (const [index, prompt] of prompts.entries()) this.#check(prompt, index);
    const run = async () => {
      const all: Generated = { ids: [], logprobs: [], finished: [] };
      for (let first = 0; first < prompts.length; first += max_texts) {
        const batch = await this.#batch(prompts.slice(first, first + max_texts), first, options);
        all.ids.push(...batch.ids);
        all.logprobs.push(...batch.logprobs);
        all.finished.push(...batch.finished);
      }
      return all;
    };
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Frees the cache; the store is not touched. */
  destroy(): void {
    this.#plans.clear();
    this.#decoders.clear();
    this.arena.destroy();
  }

  #check(prompt: Int32Array, index: number): void {
    const { max_length } = this.options;
    if (prompt.length === 0)
      throw new NagiError("data.empty", `prompt ${index + 1} has no token to continue from`, { file: "prompts" });
    if (prompt.length >= max_length) {
      const problem = `has ${prompt.length} tokens, which leaves no room for another one`;
      const allowed = `at most ${max_length - 1} tokens`;
      throw new NagiError("config.invalid", `prompt ${index + 1} ${problem}: shorten it to ${allowed}`, {
        file: "",
        path: `prompt ${index + 1}`,
        problem,
        allowed,
      });
    }
    for (const id of prompt) checkToken(id, this.config.vocab_size);
  }

  async #batch(prompts: readonly Int32Array[], first: number, options: GenerateOptions): Promise<Generated> {
    const { gpu } = this;
    const { max_texts, max_length } = this.options;
    const { max_new_tokens, temperature, top_k, top_p } = options;
    const B = Math.min(max_texts, roundUp(prompts.length));
    const limits = temperature > 0 && ((top_k > 0 && top_k < this.config.vocab_size) || top_p < 1);
    const decoder = await this.#decoder(B, limits);
    await this.#prefill(prompts);

    const rooms = prompts.map(({ length }) => Math.min(max_new_tokens, max_length - length));
    this.#writeTexts(prompts, rooms, first, B, options);
    decoder.plan.floats("settings").set([temperature, top_k, top_p]);
    decoder.plan.upload();

    const texts = this.#rows("texts", B * TEXT_FIELDS);
    const perStep = decoder.steps.length / STEPS;
    const longest = Math.max(0, ...rooms);
    // One submit is always on its way while the host looks at what the one before left.
    const looks: Promise<boolean>[] = [];
    for (let done = 0; done < longest; done += STEPS) {
      const dispatches = decoder.steps.slice(0, perStep * Math.min(STEPS, longest - done));
      const [read] = gpu.submit(dispatches, [texts]);
      const look = read?.then(allEnded) ?? Promise.resolve(false);
      // Whichever is awaited first reports a lost device; the other one must not count as unhandled.
      look.catch(() => undefined);
      looks.push(look);
      if (looks.length > 1 && (await looks.shift())) break;
    }
    const reads = gpu.submit(
      [],
      [texts, this.#rows("ids", prompts.length * max_length), this.#rows("logprobs", prompts.length * max_length)],
    );
    await Promise.all(looks);
    const [state, ids, logprobs] = await Promise.all(reads);
    if (!state || !ids || !logprobs) throw new Error("three reads were asked for");
    return this.#collect(
      prompts.length,
      new Int32Array(state),
      new Int32Array(ids),
      new Float32Array(logprobs),
      options,
    );
  }

  #collect(
    count: number,
    state: Int32Array,
    allIds: Int32Array,
    allLogprobs: Float32Array,
    { eos_token_id }: GenerateOptions,
  ): Generated {
    const { max_length } = this.options;
    const ids: Int32Array[] = [];
    const logprobs: Float32Array[] = [];
    const finished: boolean[] = [];
    for (let text = 0; text < count; text++) {
      const begin = text * max_length;
      const end = begin + (state[text * TEXT_FIELDS + TEXT.count] ?? 0);
      ids.push(allIds.slice(begin, end));
      logprobs.push(allLogprobs.slice(begin, end));
      finished.push(eos_token_id !== null && end > begin && allIds[end - 1] === eos_token_id);
    }
    return { ids, logprobs, finished };
  }

  /** Sends what the first step begins with: of each text its last prompt token, which no prefill has seen. */
  #writeTexts(
    prompts: readonly Int32Array[],
    rooms: readonly number[],
    first: number,
    B: number,
    { seed, eos_token_id }: GenerateOptions,
  ): void {
    const texts = new Int32Array(B * TEXT_FIELDS);
    const token = new Int32Array(B);
    const position = new Int32Array(B);
    for (const [text, prompt] of prompts.entries()) {
      token[text] = prompt.at(-1) ?? 0;
      position[text] = prompt.length - 1;
      const fields = texts.subarray(text * TEXT_FIELDS, (text + 1) * TEXT_FIELDS);
      fields[TEXT.seedLow] = seed | 0;
      fields[TEXT.seedHigh] = Math.floor(seed / 2 ** 32) | 0;
      fields[TEXT.index] = first + text;
      fields[TEXT.eos] = eos_token_id ?? -1;
      fields[TEXT.room] = rooms[text] ?? 0;
    }
    for (const [name, data] of Object.entries({ texts, token, position }))
      this.gpu.write(this.#rows(name, data.length), data);
  }

  /** Keys and values of all prompt tokens but the last ones, in as few passes as PREFILL allows. */
  async #prefill(prompts: readonly Int32Array[]): Promise<void> {
    const pending = prompts.map((prompt, text) => ({ text, ids: prompt.subarray(0, -1) }));
    const longest = Math.max(PREFILL, ...pending.map(({ ids }) => ids.length));
    while (pending.length > 0) {
      const pass: typeof pending = [];
      let tokens = 0;
      for (let next = pending[0]; next && tokens + next.ids.length <= longest; next = pending[0]) {
        tokens += next.ids.length;
        pass.push(next);
        pending.shift();
      }
      if (tokens > 0) await this.#prefillPass(pass, tokens);
    }
  }

  async #prefillPass(
    pass: readonly { readonly text: number; readonly ids: Int32Array }[],
    tokens: number,
  ): Promise<void> {
    const plan = await this.#prefiller(prefillSize(tokens));
    const batch = {
      input_ids: new Int32Array(tokens),
      position_ids: new Int32Array(tokens),
      segment_start: new Int32Array(tokens),
      segment_end: new Int32Array(tokens),
    };
    const rows = plan.integers("text").fill(-1);
    let start = 0;
    for (const { text, ids } of pass) {
      const end = start + ids.length;
      batch.input_ids.set(ids, start);
      for (let position = 0; position < ids.length; position++) batch.position_ids[start + position] = position;
      batch.segment_start.fill(start, start, end);
      batch.segment_end.fill(end, start, end);
      rows.fill(text, start, end);
      start = end;
    }
    const integers = (name: keyof typeof batch) => plan.integers(name);
    fillStream(
      {
        input_ids: integers("input_ids"),
        position_ids: integers("position_ids"),
        segment_start: integers("segment_start"),
        segment_end: integers("segment_end"),
      },
      batch,
      0,
    );
    plan.run();
  }

  #prefiller(R: number): Promise<Plan> {
    return this.#plan(`prefill ${R}`, (graph, parameters) =>
      recordPrefill(graph, this.config, parameters, this.options, R),
    );
  }

  #decoder(B: number, limits: boolean): Promise<Decoder> {
    const label = `decode ${B}${limits ? " limited" : ""}`;
    const known = this.#decoders.get(label);
    if (known) return known;
    const made = this.#plan(label, (graph, parameters) => {
      recordDecode(graph, this.config, parameters, this.options, B, limits);
    }).then((plan) => {
      plan.integers("text").forEach((_, text, rows) => {
        rows[text] = text;
      });
      const { dispatches } = plan.writing;
      return { plan, steps: Array.from({ length: STEPS }, () => dispatches).flat() };
    });
    this.#decoders.set(label, made);
    return made;
  }

  #plan(label: string, record: (graph: Graph, parameters: Parameters) => void): Promise<Plan> {
    const known = this.#plans.get(label);
    if (known) return known;
    const { gpu, config, store, options, arena, states } = this;
    const graph = new Graph();
    record(graph, new Parameters(graph, store, { adapter: options.adapter }));
    const made = compilePlan(gpu, graph, { label, outputs: [], parameters: store, arena, states }).then((plan) => {
      plan.floats("inv_freq").set(inverseFrequencies(config));
      return plan;
    });
    this.#plans.set(label, made);
    return made;
  }

  /** The first `elements` of a state. */
  #rows(name: string, elements: number): BufferSlice {
    const slice = this.states.get(name);
    if (!slice) throw new Error(`no state ${name}`);
    return { ...slice, size: 4 * elements };
  }
}

/** Whether no text of a batch may get another token. */
function allEnded(bytes: ArrayBuffer): boolean {
  const texts = new Int32Array(bytes);
  for (let room = TEXT.room; room < texts.length; room += TEXT_FIELDS) if ((texts[room] ?? 0) > 0) return false;
  return true;
}
