/** The draft that a form edits, for every field below it. */
import { createContext, useContext } from "react";
import type { CheckedDraft, Draft, DraftObject } from "./draft";

export interface DraftContextValue {
  readonly draft: DraftObject;
  readonly checked: CheckedDraft;
  /** Paths whose values another screen proposed. */
  readonly changed: ReadonlySet<string>;
  readonly set: (path: string, value: Draft) => void;
}

export const DraftContext = createContext<DraftContextValue | null>(null);

/** @throws outside a form */
export function useDraft(): DraftContextValue {
  const value = useContext(DraftContext);
  if (value === null) throw new Error("a field stands outside a draft");
  return value;
}
