import { expect, it } from "vitest";
import { DEFAULT_RUN } from "../../shared/protocol/defaults";
import { usersOfModel } from "./model-users";

const config = (name: string, model_name_or_path: string) => ({
  config: { ...DEFAULT_RUN, name, model: { ...DEFAULT_RUN.model, model_name_or_path } },
});

it("names runs, pipelines and results that build on a model, each once", () => {
  const mine = "imported:mine-1";
  const users = usersOfModel(mine, {
    runs: [config("both", mine), config("run", mine), config("other", "bundled:nagi-base")],
    pipelines: [config("both", mine)],
    artefacts: [
      { name: "an adapter", parents: [{ slot: "model", id: mine }] },
      { name: "something else", parents: [{ slot: "model", id: "imported:mine-10" }] },
    ],
  });
  expect(users).toEqual(["both", "run", "an adapter"]);
  expect(usersOfModel("imported:nobodys", { runs: [], pipelines: [], artefacts: [] })).toEqual([]);
});
