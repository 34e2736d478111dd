import { NagiError } from "../../shared/errors";
import { type RunConfig, runConfig } from "../../shared/protocol/config";

/** @throws NagiError config.invalid {file, path, reason}, naming the first field that is wrong */
export function parseConfig(text: string, file: string): RunConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NagiError("config.invalid", `${file} is not JSON: ${reason}. Export a config from Nagi and edit that.`, {
      file,
      path: file,
      reason,
    });
  }
  const parsed = runConfig.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? file : issue.path.join(".");
  const reason = issue?.message ?? "";
  throw new NagiError("config.invalid", `${file}: ${path}: ${reason}. Correct that field.`, { file, path, reason });
}
