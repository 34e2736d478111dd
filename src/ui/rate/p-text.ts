/** A p-value with two significant digits: 0.0018, never 0.00; "–" where there is none. */
export function pText(p: number | null): string {
  if (p === null || !Number.isFinite(p)) return "–";
  return p < 0.0001 ? "< 0.0001" : String(Number(p.toPrecision(2)));
}
