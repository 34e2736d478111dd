/** For unit tests of stores: a backend with nothing in it, whose parts a test replaces. */
import { NagiError } from "../shared/errors";
import type { StudioBackend } from "./backend";

const none = (): Promise<never> => Promise.reject(new NagiError("internal", "the test has put nothing here"));

export const EMPTY_BACKEND: StudioBackend = {
  listRuns: async () => [],
  start: none,
  pause: none,
  resume: none,
  stop: none,
  checkpoint: none,
  delete: none,
  events: none,
  score: none,
  scoreSplit: none,
  exportModel: none,
  exportEvents: none,
  inspectDataset: none,
  inspectModel: none,
  storage: async () => ({ usage: null, quota: null, runs: [], artefacts: [] }),
  listArtefacts: async () => [],
  artefact: none,
  exportArtefact: none,
  deleteArtefact: none,
  lineage: none,
  generations: none,
  scoreArtefact: none,
  listPipelines: async () => [],
  createPipeline: none,
  runPipeline: none,
  runPipelineFrom: none,
  pausePipeline: none,
  stopPipeline: none,
  deletePipeline: none,
  changes: async () => () => undefined,
  listDatasets: async () => [],
  importDataset: none,
  deleteDataset: none,
  listModels: async () => [],
  importModel: none,
  deleteModel: none,
};
