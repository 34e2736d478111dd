/** What every input of a setting is given. */
import { useTranslation } from "react-i18next";
import { useDraft } from "./draft-context";
import { useFieldText, useProblemText } from "./field-text";
import type { SchemaNode } from "./schema";

export interface FieldProps {
  /** Of the whole draft: "stages.2.peft.r". */
  readonly path: string;
  /** Inside the stage: "peft.r". */
  readonly field: string;
  readonly node: SchemaNode;
}

/** Label, help, error and the mark of a proposed change, as every input takes them. */
export function useFieldProps({ path, field, node }: FieldProps) {
  const { t } = useTranslation();
  const { checked, changed } = useDraft();
  const text = useFieldText()(field, node);
  const problemText = useProblemText();
  const problem = checked.problems.get(path);
  return {
    label: text.label,
    description: changed.has(path) ? `${t("pipeline.changed")} ${text.help}` : text.help,
    error: problem === undefined ? null : problemText(field, node, problem),
    "data-changed": changed.has(path) || undefined,
  };
}
