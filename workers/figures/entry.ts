/** The figures of a verdict, away from the page: the bootstraps of a large session take seconds. */
import { expose } from "comlink";
import { installErrorTransfer } from "../../src/shared/comlink-errors";
import { type FiguresRequest, overview, pairFigures } from "../../src/shared/ratings/figures";

installErrorTransfer();
expose({
  pair: (request: FiguresRequest) => pairFigures(request),
  overview: (request: Omit<FiguresRequest, "pair">) => overview(request),
});
