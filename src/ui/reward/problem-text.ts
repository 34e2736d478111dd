/** The message beside a field: what is wrong, and what may stand there. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { useFormat } from "../common/use-format";
import {
  ADVANCED_FIELDS,
  BASIC_FIELDS,
  type Field,
  type FieldProblem,
  type NumberField,
  rangeOf,
  writeNumber,
} from "./form";

const RANGED: ReadonlySet<Field> = new Set<Field>([...BASIC_FIELDS, ...ADVANCED_FIELDS, "seed"]);

function isRanged(field: Field): field is NumberField | "seed" {
  return RANGED.has(field);
}

/** The allowed values of a field in words, e.g. "整数、1 以上・512 以下". */
export function useRangeText(): (field: NumberField | "seed") => string {
  const { t } = useTranslation();
  const format = useFormat();
  return useCallback(
    (field) => {
      const range = rangeOf(field);
      const write = (value: number) => (Math.abs(value) >= 1000 ? format.count(value) : writeNumber(value));
      const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = range;
      let bounds: string;
      if (minimum !== null && maximum !== null && !exclusiveMinimum && !exclusiveMaximum) {
        bounds = t("range.between", { low: write(minimum), high: write(maximum) });
      } else {
        const parts: string[] = [];
        if (minimum !== null)
          parts.push(t(exclusiveMinimum ? "range.above" : "range.at_least", { value: write(minimum) }));
        if (maximum !== null)
          parts.push(t(exclusiveMaximum ? "range.below" : "range.at_most", { value: write(maximum) }));
        bounds = parts.join(t("range.and"));
      }
      return range.integer ? t("range.integer", { bounds }) : bounds;
    },
    [t, format],
  );
}

export function useProblemText(): (field: Field, problem: FieldProblem) => string {
  const { t } = useTranslation();
  const rangeText = useRangeText();
  return useCallback(
    (field, problem) => {
      const label = t(`fields.${field}.label`);
      if (!isRanged(field))
        return t(problem === "missing" ? "problems.missing_plain" : `problems.${problem}`, { field: label, range: "" });
      return t(`problems.${problem}`, { field: label, range: rangeText(field) });
    },
    [t, rangeText],
  );
}
