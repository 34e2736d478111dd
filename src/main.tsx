/** Composition root: settings and language before the first frame, then the page; the worker and the rest load beside it. */
// First, so that our own rules come after it and win.
import "@mantine/core/styles.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { provideBackend } from "./clients/backend";
import { provideFigures } from "./clients/figures";
import { createLocalBackend } from "./clients/local";
import { createLocalFigures } from "./clients/local-figures";
import { createI18n } from "./i18n";
import { useArtefacts } from "./stores/artefacts";
import { useDatasets } from "./stores/datasets";
import { useEnvironment } from "./stores/environment";
import { useModels } from "./stores/models";
import { usePipelines } from "./stores/pipelines";
import { useRatings } from "./stores/ratings";
import { useRuns } from "./stores/runs";
import { useSettings } from "./stores/settings";
import { useWorkers } from "./stores/workers";
import "./app/nagi.css";

const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
// react-remove-scroll (under Mantine's Modal) looks here for the nonce of the <style> it adds.
Object.assign(globalThis, { __webpack_nonce__: nonce });

provideBackend(createLocalBackend({ onCrash: () => void useRuns.getState().load() }));
provideFigures(createLocalFigures());
await useSettings.getState().load();
await createI18n(useSettings.getState().language);

const container = document.getElementById("root");
if (container === null) throw new Error('index.html has no element with id "root".');
createRoot(container).render(
  <StrictMode>
    <App nonce={nonce} />
  </StrictMode>,
);

/** What the studio's screens show. A rater's page, perhaps on a phone, needs none of it. */
function loadStudio(): void {
  void useEnvironment.getState().detect();
  void useRuns.getState().load();
  void useDatasets.getState().load();
  void useModels.getState().load();
  void useArtefacts.getState().load();
  void usePipelines.getState().load();
  void useRatings.getState().load();
  void useWorkers.getState().load();
}

const forRaters = (): boolean => location.hash.startsWith("#/live");
if (forRaters())
  addEventListener("hashchange", function left() {
    if (forRaters()) return;
    removeEventListener("hashchange", left);
    loadStudio();
  });
else loadStudio();
