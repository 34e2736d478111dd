/**
 * metrics.jsonl: the events of one run, one JSON object a line, line k holding seq k. A tab can die in the middle of a
 * line, a disk in the middle of a block: whatever follows the longest valid, gapless prefix is dropped when the log is
 * opened for writing, and ignored when it is only read.
 */
import type { NagiError } from "../../../src/shared/errors";
import { type RunEvent, type RunEventBody, runEvent } from "../../../src/shared/protocol/events";
import { type AppendFile, storageError } from "./opfs";

const NEWLINE = 0x0a;

export interface ParsedLog {
  readonly events: RunEvent[];
  /** Bytes of the valid prefix, its last newline included. */
  readonly validBytes: number;
}

/** The longest valid, gapless prefix of a log. */
export function parseLog(bytes: Uint8Array): ParsedLog {
  const decoder = new TextDecoder();
  const events: RunEvent[] = [];
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(NEWLINE, start);
    // Without its newline the last line may be torn even where it parses (12 of 123).
    if (end < 0) break;
    const event = parseEvent(decoder.decode(bytes.subarray(start, end)));
    if (event === null || event.seq !== events.length) break;
    events.push(event);
    start = end + 1;
  }
  return { events, validBytes: start };
}

function parseEvent(line: string): RunEvent | null {
  try {
    const value: unknown = JSON.parse(line);
    if (isCurvePoint(value)) return value;
    const parsed = runEvent.safeParse(value);
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

type CurvePoint = Extract<RunEvent, { type: "log" | "eval" }>;

const CURVE_KEYS = 6;

/**
 * The schema of log and eval events by hand: a long run's log is nearly nothing else, and zod takes many times longer.
 * Whatever fails here is left to zod.
 */
function isCurvePoint(value: unknown): value is CurvePoint {
  if (typeof value !== "object" || value === null) return false;
  if (!("type" in value && "step" in value && "metrics" in value)) return false;
  if (!("run_id" in value && "seq" in value && "time" in value)) return false;
  const { type, step, metrics, run_id, seq, time } = value;
  if ((type !== "log" && type !== "eval") || !isCount(step) || !isCount(seq)) return false;
  if (typeof run_id !== "string" || run_id === "" || typeof time !== "number") return false;
  if (Object.keys(value).length !== CURVE_KEYS || typeof metrics !== "object" || metrics === null) return false;
  if (Array.isArray(metrics)) return false;
  // JSON has no infinities, so a number is a finite one.
  return Object.values(metrics).every((metric) => metric === null || typeof metric === "number");
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

/** The one writer of a run's log. */
export class RunLog {
  #seq: number;
  readonly #waiting: Uint8Array<ArrayBuffer>[] = [];
  #error: NagiError | null = null;

  private constructor(
    private readonly file: AppendFile,
    private readonly runId: string,
    /** What was in the log when it was opened. */
    readonly stored: readonly RunEvent[],
    private readonly now: () => number,
  ) {
    this.#seq = stored.length;
  }

  /** Takes over `file` and repairs it. @param now milliseconds since the epoch */
  static open(file: AppendFile, runId: string, now: () => number = Date.now): RunLog {
    const { events, validBytes } = parseLog(file.readAll());
    if (validBytes < file.size) {
      file.truncate(validBytes);
      file.flush();
    }
    return new RunLog(file, runId, events, now);
  }

  /** Number of events in the log, the seq of the next one. */
  get length(): number {
    return this.#seq;
  }

  /** Why events wait to be stored (storage.quota); null while all of them are. */
  get error(): NagiError | null {
    return this.#error;
  }

  /**
   * Numbers, stamps and stores an event. On a full disk it waits in memory, in its place, and is stored with the next
   * one that fits: the sequence stays gapless. Look at `error` afterwards.
   */
  append(body: RunEventBody): RunEvent {
    return this.mirror({ ...body, run_id: this.runId, seq: this.#seq, time: this.now() });
  }

  /** Stores an event that was numbered and stamped elsewhere, as `append` does. Its seq must be the next one. */
  mirror(event: RunEvent): RunEvent {
    if (event.seq !== this.#seq) throw new RangeError(`event ${event.seq} where ${this.#seq} is next`);
    this.#seq++;
    this.#waiting.push(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
    this.store();
    return event;
  }

  /** Lines that could not be stored: to be handed to the next writer, or the sequence would have a second of each. */
  get waiting(): readonly Uint8Array<ArrayBuffer>[] {
    return this.#waiting;
  }

  /** Takes over lines that an earlier writer could not store. */
  takeOver(lines: readonly Uint8Array<ArrayBuffer>[]): void {
    this.#waiting.push(...lines);
    this.#seq += lines.length;
    this.store();
  }

  /** Tries again to store what waits. */
  store(): void {
    try {
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        this.file.append(line);
        this.#waiting.shift();
      }
      this.#error = null;
    } catch (error) {
      this.#error = storageError(error, this.file.path);
    }
  }

  /** Makes what was stored survive a power cut. */
  flush(): void {
    this.file.flush();
  }

  close(): void {
    this.file.flush();
    this.file.close();
  }
}
