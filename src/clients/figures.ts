/** Who computes a verdict's figures. The composition root provides one; stores call `figures()` when an action runs. */
import { NagiError } from "../shared/errors";
import type { FiguresRequest, Overview, PairFigures } from "../shared/ratings/figures";

/** Every method rejects with a NagiError. */
export interface FiguresClient {
  /** null where nobody has voted on the pair. */
  pair(request: FiguresRequest): Promise<PairFigures | null>;
  overview(request: Omit<FiguresRequest, "pair">): Promise<Overview>;
}

let provided: FiguresClient | undefined;

export function provideFigures(instance: FiguresClient): void {
  provided = instance;
}

/** @throws NagiError `internal` before `provideFigures` was called. */
export function figures(): FiguresClient {
  if (provided === undefined)
    throw new NagiError("internal", "Nobody computes figures. Call provideFigures first.", { message: "no figures" });
  return provided;
}
