/** Figures by a worker of this tab, started with the first question. */
import { type Remote, wrap } from "comlink";
import { installErrorTransfer } from "../shared/comlink-errors";
import { NagiError } from "../shared/errors";
import type { FiguresClient } from "./figures";

export function createLocalFigures(): FiguresClient {
  installErrorTransfer();
  let connection: { readonly remote: Remote<FiguresClient>; readonly death: Promise<never> } | null = null;

  function connect() {
    if (connection !== null) return connection;
    const worker = new Worker(new URL("../../workers/figures/entry.ts", import.meta.url), {
      type: "module",
      name: "nagi-figures",
    });
    const death = new Promise<never>((_, reject) => {
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        connection = null;
        worker.terminate();
        const message = event.message || "the worker's script could not be loaded";
        reject(
          new NagiError("internal", `The figures could not be computed: ${message}. Reload the page.`, { message }),
        );
      });
    });
    death.catch(() => undefined);
    connection = { remote: wrap<FiguresClient>(worker), death };
    return connection;
  }

  return {
    pair: (request) => {
      const { remote, death } = connect();
      return Promise.race([remote.pair(request), death]);
    },
    overview: (request) => {
      const { remote, death } = connect();
      return Promise.race([remote.overview(request), death]);
    },
  };
}
