/**
 * Every error a user can meet: a code, readable details and, in the message catalogues under `errors.<code>`, one
 * sentence on what is wrong and one on the way out, in Japanese and English. Crosses worker boundaries as plain data.
 */

export const ERROR_CODES = [
  // data files
  "data.empty",
  "data.not_json",
  "data.missing_column",
  "data.bad_label",
  "data.single_label",
  "data.unreadable",
  "data.unknown_format",
  // checkpoints
  "model.file_missing",
  "model.bad_config",
  "model.unknown_architecture",
  "model.bad_safetensors",
  "model.bad_pickle",
  "model.tensor_missing",
  "model.tensor_shape",
  "model.tensor_type",
  "model.bad_tokenizer",
  // a model hub. bad_name: repo; denied: repo, origin, status; not_found: repo, origin, path; unreachable: origin, reason;
  // bad_answer: repo, reason; corrupted: repo, file
  "hub.bad_name",
  "hub.denied",
  "hub.not_found",
  "hub.unreachable",
  "hub.bad_answer",
  "hub.corrupted",
  // configuration
  "config.invalid",
  "config.unknown_path",
  // GPU
  "gpu.unavailable",
  "gpu.no_adapter",
  "gpu.limit",
  "gpu.out_of_memory",
  "gpu.lost",
  "gpu.validation",
  // storage
  "storage.quota",
  "storage.unavailable",
  "storage.corrupt",
  "storage.busy",
  // what stages have made; in_use: details name, users
  "artefact.not_found",
  "artefact.wrong_kind",
  "artefact.in_use",
  // name, worker: its files are on a worker that does not answer now
  "artefact.elsewhere",
  // runs
  "run.not_found",
  "run.bad_command",
  "run.diverged",
  "run.no_checkpoint",
  // details: step, checkpoint_step (null before the first): the tab was closed or the worker died in mid-run
  "run.interrupted",
  // details: step, checkpoint_step: a stage process on a worker was ended from outside, mostly for want of memory
  "run.killed",
  // remote workers. details: none; theirs, ours; problem; bytes, allowed; file, reason
  "worker.token",
  "worker.schema",
  "worker.bad_message",
  "worker.too_large",
  "worker.file_refused",
  // url, problem; worker
  "worker.unreachable",
  "worker.unknown",
  // verify
  "case.invalid",
  // people's votes. details: session, path, problem; file, line, field, problem; file, line, found; file
  "rating.invalid",
  // id: no such session or bundle here
  "rating.not_found",
  // texts to rate. file, line, field; file, other, prompt
  "rating.bad_text",
  "rating.unpaired",
  // bundles and their votes. file, field; file; file, rater
  "rating.bad_file",
  "rating.foreign",
  "rating.duplicate",
  "votes.bad_line",
  "votes.models",
  "votes.empty",
  // live rating over a relay. details: code; rater; problem; number, problem; what, limit
  "live.no_relay",
  "live.hosts_local",
  "live.unreachable",
  "live.unknown_code",
  "live.not_live",
  "live.name_taken",
  "live.too_many_tries",
  "live.closed",
  "live.elsewhere",
  "live.bad_message",
  "live.bad_vote",
  "live.full",
  // workers behind a relay. code: the relay's part of the pairing code
  "relay.unknown_code",
  "relay.away",
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Values that fill the placeholders of the catalogue entry. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export interface ErrorData {
  readonly code: ErrorCode;
  /** English, complete on its own: for logs and the command line. Names the place and the way out. */
  readonly message: string;
  readonly details: ErrorDetails;
}

export class NagiError extends Error implements ErrorData {
  override readonly name = "NagiError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  toData(): ErrorData {
    return { code: this.code, message: this.message, details: this.details };
  }

  static fromData(data: ErrorData): NagiError {
    return new NagiError(data.code, data.message, data.details);
  }
}

/** Whatever was thrown, as plain data that survives structured clone. */
export function toErrorData(error: unknown): ErrorData {
  if (error instanceof NagiError) return error.toData();
  const message = error instanceof Error ? error.message : String(error);
  return { code: "internal", message, details: { message } };
}
