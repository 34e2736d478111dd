/** The message beside a field: what is wrong, and what may stand there. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { useRangeText } from "../common/range-text";
import { ADVANCED_FIELDS, BASIC_FIELDS, type Field, type FieldProblem, type NumberField, rangeOf } from "./form";

const RANGED: ReadonlySet<Field> = new Set<Field>([...BASIC_FIELDS, ...ADVANCED_FIELDS, "seed"]);

function isRanged(field: Field): field is NumberField | "seed" {
  return RANGED.has(field);
}

export function useProblemText(): (field: Field, problem: FieldProblem) => string {
  const { t } = useTranslation();
  const rangeText = useRangeText();
  return useCallback(
    (field, problem) => {
      const label = t(`fields.${field}.label`);
      if (!isRanged(field))
        return t(problem === "missing" ? "problems.missing_plain" : `problems.${problem}`, { field: label, range: "" });
      return t(`problems.${problem}`, { field: label, range: rangeText(rangeOf(field)) });
    },
    [t, rangeText],
  );
}
