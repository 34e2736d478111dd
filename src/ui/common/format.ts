/** Numbers, sizes and times as people read them. Pure: the language comes in, nothing else. */

export type Language = "ja" | "en";

/** A share as a percentage with one decimal: 0.8333 -> "83.3%". Missing -> "–". */
export function formatPercent(value: number | null | undefined, digits = 1): string {
  if (!isNumber(value)) return MISSING;
  return `${(value * 100).toFixed(digits)}%`;
}

/** About four significant digits, without an exponent where it stays readable: 0.0005 -> "5.00e-4". */
export function formatValue(value: number | null | undefined, digits = 4): string {
  if (!isNumber(value)) return MISSING;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(decimals, digits));
}

/** A number beside an axis, as short as it can be: 0.5, 2, 4e-4, 12k. */
export function formatTick(value: number): string {
  const size = Math.abs(value);
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  if (size !== 0 && size < 1e-3) return Number(value.toPrecision(2)).toExponential();
  return String(Number(value.toPrecision(4)));
}

/** With thousands separators. */
export function formatCount(value: number | null | undefined, language: Language): string {
  if (!isNumber(value)) return MISSING;
  return new Intl.NumberFormat(locale(language), { maximumFractionDigits: 0 }).format(value);
}

/** 4_934_016 -> "4.93 M" (the unit of parameter counts is the same in both languages). */
export function formatParameters(value: number | null | undefined): string {
  if (!isNumber(value)) return MISSING;
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} K`;
  return String(value);
}

/** Bytes in binary units. */
export function formatBytes(value: number | null | undefined): string {
  if (!isNumber(value)) return MISSING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : 1;
  return `${size.toFixed(digits)} ${units[unit] ?? ""}`;
}

/** Seconds as hours, minutes and seconds in the language: 3725 -> "1時間2分" / "1 h 2 min". */
export function formatDuration(seconds: number | null | undefined, language: Language): string {
  if (!isNumber(seconds)) return MISSING;
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  const unit = (value: number, name: "hour" | "minute" | "second") =>
    new Intl.NumberFormat(locale(language), {
      style: "unit",
      unit: name,
      unitDisplay: language === "ja" ? "long" : "narrow",
    })
      .format(value)
      .replace(/\s+/g, "");
  const parts =
    hours > 0
      ? [unit(hours, "hour"), unit(minutes, "minute")]
      : minutes > 0
        ? [unit(minutes, "minute"), unit(rest, "second")]
        : [unit(rest, "second")];
  return parts.join(language === "ja" ? "" : " ");
}

/** A point in time: date and minute in the reader's zone. */
export function formatTime(milliseconds: number, language: Language): string {
  return new Intl.DateTimeFormat(locale(language), { dateStyle: "medium", timeStyle: "short" }).format(milliseconds);
}

/** The probability of "positive" of a logit. */
export function sigmoid(logit: number): number {
  return logit >= 0 ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / (1 + Math.exp(logit));
}

const MISSING = "–";

function isNumber(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function locale(language: Language): string {
  return language === "ja" ? "ja-JP" : "en-GB";
}
