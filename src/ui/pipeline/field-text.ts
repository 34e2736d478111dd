/** Labels, help and problems of settings, from the catalogues. */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import type { PipelineProblem } from "../../shared/protocol/pipeline-check";
import { useRangeText } from "../common/range-text";
import type { FieldProblem } from "./draft";
import { fieldKey, isFieldKey, isOptionKey } from "./fields";
import { numberNode, rangeOf, type SchemaNode } from "./schema";

export interface FieldText {
  readonly label: string;
  /** With the range of a number. */
  readonly help: string;
}

/** @param field path inside its stage: "peft.r" */
export function useFieldText(): (field: string, node: SchemaNode) => FieldText {
  const { t } = useTranslation();
  const rangeText = useRangeText();
  return useCallback(
    (field, node) => {
      const key = fieldKey(field);
      if (!isFieldKey(key)) return { label: field, help: "" };
      const range = numberNode(node) === undefined ? "" : rangeText(rangeOf(node));
      const help = t(`fields.${key}.help`);
      return { label: t(`fields.${key}.label`), help: range === "" ? help : `${help} (${range})` };
    },
    [t, rangeText],
  );
}

export function useOptionText(): (field: string, option: string | false) => string {
  const { t } = useTranslation();
  return useCallback(
    (field, option) => {
      const key = `${fieldKey(field)}.${option === false ? "off" : option}`;
      return isOptionKey(key) ? t(`options.${key}`) : String(option);
    },
    [t],
  );
}

export function useProblemText(): (field: string, node: SchemaNode, problem: FieldProblem) => string {
  const { t } = useTranslation();
  const rangeText = useRangeText();
  return useCallback(
    (field, node, problem) => {
      const key = fieldKey(field);
      const label = isFieldKey(key) ? t(`fields.${key}.label`) : field;
      const numeric = numberNode(node) !== undefined;
      const range = numeric ? rangeText(rangeOf(node)) : "";
      return t(problem === "missing" && !numeric ? "problems.missing_plain" : `problems.${problem}`, {
        field: label,
        range,
      });
    },
    [t, rangeText],
  );
}

/** Why stages do not fit together, in words. */
export function usePipelineProblemText(): (problem: PipelineProblem) => string {
  const { t } = useTranslation();
  return useCallback((problem) => t(`pipeline_problems.${problem.code}`, { replace: problem.values }), [t]);
}
