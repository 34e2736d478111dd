/**
 * Who may import whom (types count too). One rule per layer: what a layer may see, and nothing else of ours.
 * Packages and Node's modules are restricted separately.
 */

/** @param {string} name @param {string} from @param {string[]} allowed @param {string} [fromNot] */
function layer(name, from, allowed, fromNot) {
  return {
    name,
    severity: "error",
    comment: `${from} may import only ${allowed.join(", ")}`,
    from: { path: from, pathNot: fromNot ? [TEST, fromNot] : TEST },
    to: { path: "^(src|workers|e2e|\\.ci)/", pathNot: allowed },
  };
}

const TEST = "\\.test\\.tsx?$";
const ENGINE = "^workers/engine/";
/** Layers of the engine from the bottom up; each sees itself and those below it. */
const GPU = ["^workers/engine/gpu/", "^src/shared/"];
const KERNELS = [...GPU, "^workers/engine/kernels/"];
const OPS = [...KERNELS, "^workers/engine/ops/"];
const PLAN = [...OPS, "^workers/engine/plan/"];
const BESIDE = ["^workers/engine/(model|optim|data|io)/"];
const TRAIN = [...PLAN, ...BESIDE, "^workers/engine/train/"];

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "not-to-unresolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-orphans",
      severity: "error",
      comment: "a module nobody imports and that imports nothing is dead",
      from: {
        orphan: true,
        pathNot: [TEST, "\\.d\\.ts$", "^(src/main\\.tsx|vite\\.config\\.ts)$", "\\.cjs$", "^e2e/", "^src/i18n/.*json$"],
      },
      to: {},
    },
    {
      name: "declared-packages-only",
      severity: "error",
      from: { path: "^(src|workers|e2e)/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "no-dev-packages-in-the-product",
      severity: "error",
      from: {
        path: "^(src|workers)/",
        pathNot: [TEST, "^workers/engine/gpu/dawn\\.ts$", "^workers/headless/bench/peer-"],
      },
      to: { dependencyTypes: ["npm-dev"], pathNot: ["@webgpu/types", "/@types/"] },
    },
    {
      name: "tests-are-imported-by-nobody",
      severity: "error",
      from: {},
      to: { path: TEST },
    },

    // src
    layer("shared-is-a-leaf", "^src/shared/", ["^src/shared/"]),
    layer("persist", "^src/persist/", ["^src/(persist|shared)/"]),
    layer("clients", "^src/clients/", ["^src/(clients|shared)/"]),
    layer("stores-know-client-interfaces", "^src/stores/", [
      "^src/(stores|persist|shared)/",
      "^src/clients/(backend|figures|live)\\.ts$",
    ]),
    layer("i18n", "^src/i18n/", ["^src/(i18n|shared)/"]),
    layer("ui", "^src/ui/", ["^src/(ui|stores|i18n|shared)/"]),
    layer("app", "^src/(app/|main\\.tsx)", ["^src/"]),
    {
      name: "src-never-imports-workers",
      severity: "error",
      comment: "the page reaches the workers only through new Worker(new URL(...))",
      from: { path: "^src/" },
      to: { path: "^workers/" },
    },
    {
      name: "no-react-below-ui",
      severity: "error",
      from: { path: "^(src/(shared|persist|clients|stores)|workers)/" },
      to: { path: "node_modules/(react|react-dom|@mantine|react-i18next|react-router|uplot)/" },
    },
    {
      name: "no-node-in-the-browser",
      severity: "error",
      from: {
        path: "^(src|workers)/",
        pathNot: [TEST, "^workers/(headless|relay)/", "^workers/engine/gpu/dawn\\.ts$"],
      },
      to: { dependencyTypes: ["core"] },
    },

    // engine
    layer("gpu-is-the-lowest-layer", "^workers/engine/gpu/", [...GPU, "^workers/engine/kernels/define\\.ts$"]),
    layer("kernels", "^workers/engine/kernels/", KERNELS),
    layer("ops", "^workers/engine/ops/", OPS),
    layer("plan", "^workers/engine/plan/", PLAN),
    layer("model-optim-data-io", "^workers/engine/(model|optim|data|io)/", [...PLAN, ...BESIDE]),
    layer("train", "^workers/engine/train/", TRAIN),
    layer("engine-knows-no-runtime", ENGINE, [ENGINE, "^src/shared/"]),
    {
      name: "dawn-is-for-node",
      severity: "error",
      from: { pathNot: [TEST, "^workers/headless/", "^workers/engine/bench/"] },
      to: { path: "^workers/engine/gpu/dawn\\.ts$" },
    },
    {
      name: "only-dawn-loads-webgpu",
      severity: "error",
      from: { path: "^(src|workers)/", pathNot: "^workers/engine/gpu/dawn\\.ts$" },
      to: { path: "node_modules/webgpu/" },
    },
    {
      name: "opfs-stays-in-the-browser",
      severity: "error",
      from: { path: "^workers/headless/" },
      to: { path: "^workers/engine/io/opfs\\.ts$" },
    },

    // runtimes
    layer("train-worker", "^workers/train/", ["^workers/(train|engine)/", "^src/shared/"]),
    layer("figures-worker", "^workers/figures/", ["^workers/figures/", "^src/shared/"]),
    layer("infer-worker", "^workers/infer/", ["^workers/(infer|engine)/", "^src/shared/"]),
    layer("headless", "^workers/headless/", ["^workers/(headless|engine)/", "^src/shared/"]),
    layer("relay-knows-no-engine", "^workers/relay/", ["^workers/relay/", "^src/shared/"]),
    {
      name: "only-the-relay-serves-websockets",
      severity: "error",
      from: { path: "^(src|workers)/", pathNot: [TEST, "^workers/relay/"] },
      to: { path: "node_modules/(@types/)?ws/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|public|node_modules/.cache)/" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
      extensions: [".ts", ".tsx", ".d.ts", ".mjs", ".js", ".json"],
    },
    cache: { folder: "node_modules/.cache/dependency-cruiser", strategy: "content" },
  },
};
