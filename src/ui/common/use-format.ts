/** The formatting functions with the reader's language filled in. */
import { useMemo } from "react";
import { useSettings } from "../../stores/settings";
import { formatCount, formatDuration, formatTime } from "./format";

export function useFormat() {
  const language = useSettings((state) => state.language);
  return useMemo(
    () => ({
      language,
      count: (value: number | null | undefined) => formatCount(value, language),
      duration: (seconds: number | null | undefined) => formatDuration(seconds, language),
      time: (milliseconds: number) => formatTime(milliseconds, language),
    }),
    [language],
  );
}
