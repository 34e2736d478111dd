/** The allowed values of a field in words, e.g. "整数、1 以上・512 以下". */
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { type Range, writeNumber } from "./numbers";
import { useFormat } from "./use-format";

export function useRangeText(): (range: Range) => string {
  const { t } = useTranslation();
  const format = useFormat();
  return useCallback(
    (range) => {
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
