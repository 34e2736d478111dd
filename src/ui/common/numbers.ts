/** Numbers as people type them, and the range in which they may lie. */

export interface Range {
  readonly integer: boolean;
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** The bound itself is not allowed. */
  readonly exclusiveMinimum: boolean;
  readonly exclusiveMaximum: boolean;
}

/** Accepts what Japanese keyboards produce (full-width digits) and exponents; null if it is no number. */
export function readNumber(text: string): number | null {
  const plain = text
    .normalize("NFKC")
    .replace(/[\s,_]/g, "")
    .replace("−", "-");
  if (plain === "" || !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain)) return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}

export function writeNumber(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && size < 1e-3 ? value.toExponential().replace("e-0", "e-") : String(value);
}
