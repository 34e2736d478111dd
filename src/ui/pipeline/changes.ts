/** Changes to a stage that another screen proposes: they travel in the address of the pipeline editor. */
import { type DraftObject, encode, isList, isObject, valueAt, withValue } from "./draft";

export interface Changes {
  /** The run whose configuration is changed. */
  readonly from: string;
  readonly stage: string;
  readonly changes: Readonly<Record<string, string | number | boolean>>;
}

/** The query of /pipelines/new: from=RUN&stage=ID&set=FIELD:VALUE... */
export function changesQuery({ from, stage, changes }: Changes): string {
  const query = new URLSearchParams({ from, stage });
  for (const [field, value] of Object.entries(changes)) query.append("set", `${field}:${value}`);
  return query.toString();
}

/** The draft with the query's changes made, and the paths of the fields that differ now. */
export function withChanges(draft: DraftObject, query: URLSearchParams): { draft: DraftObject; changed: string[] } {
  const stages = valueAt(draft, "stages");
  const index = isList(stages) ? stages.findIndex((one) => isObject(one) && one.id === query.get("stage")) : -1;
  const changed: string[] = [];
  let result = draft;
  if (index < 0) return { draft: result, changed };
  for (const entry of query.getAll("set")) {
    const at = entry.indexOf(":");
    const path = `stages.${index}.${entry.slice(0, at)}`;
    const text = entry.slice(at + 1);
    const value = encode(text === "true" ? true : text === "false" ? false : text);
    const before = valueAt(result, path);
    // Only settings that are there: an address is typed by anyone.
    if (before === undefined || typeof before === "object" || before === value) continue;
    result = withValue(result, path, value);
    changed.push(path);
  }
  return { draft: result, changed };
}
