/** Where an artefact comes from: parents back to the base, the data and the seed. Every node can be opened. */
import { Anchor, Code, Loader, Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { licenseName } from "../../shared/credit";
import type { LineageNode } from "../../shared/protocol/pipeline";
import { useArtefacts } from "../../stores/artefacts";
import { useDatasets } from "../../stores/datasets";
import { useModels } from "../../stores/models";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { datasetLabel, modelLabel } from "../data/references";
import "./results.css";

export function Lineage({ artefact }: { readonly artefact: string }) {
  const { t } = useTranslation();
  const lineage = useArtefacts((state) => state.lineages[artefact]);
  const trace = useArtefacts((state) => state.trace);
  useEffect(() => void trace(artefact), [trace, artefact]);
  return (
    <Section title={t("lineage.title")} help={t("lineage.help")}>
      {lineage === undefined || lineage.status === "loading" ? (
        <Loader size="sm" aria-label={t("lineage.loading")} />
      ) : lineage.status === "failed" ? (
        <ErrorPanel error={lineage.error} />
      ) : (
        <Tree nodes={lineage.value} root={artefact} />
      )}
    </Section>
  );
}

function Tree({ nodes, root }: { readonly nodes: readonly LineageNode[]; readonly root: string }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const opened = new Set<string>();
  // Depth first; what stands above is not unfolded a second time.
  const walk = (id: string, slot: string | null): TreeNode => {
    const node = byId.get(id);
    const again = opened.has(id);
    opened.add(id);
    const parents = again ? [] : (node?.parents ?? []).map((parent) => walk(parent.id, parent.slot));
    return { id, slot, node, parents, again: again && (node?.parents.length ?? 0) > 0 };
  };
  return (
    <ul className="ng-lineage">
      <Branch tree={walk(root, null)} />
    </ul>
  );
}

interface TreeNode {
  readonly id: string;
  readonly slot: string | null;
  readonly node: LineageNode | undefined;
  readonly parents: readonly TreeNode[];
  readonly again: boolean;
}

function Branch({ tree }: { readonly tree: TreeNode }) {
  const { t } = useTranslation();
  const { node, id, slot } = tree;
  const record = node?.record ?? null;
  const hasRun = useRuns((state) => record !== null && state.runs.some((run) => run.run_id === record.run_id));
  return (
    <li>
      <div className="ng-lineage-node">
        {record === null ? (
          <Reference id={id} />
        ) : (
          <>
            <Anchor component={Link} to={`/artefacts/${id}`} fw={600} size="sm">
              {record.name}
            </Anchor>
            <span>{t(`artefact_kinds.${record.kind}`)}</span>
            <span className="ng-numeric">{t("lineage.seed", { seed: record.seed })}</span>
          </>
        )}
        {slot !== null && <span>{t("lineage.used_as", { slot })}</span>}
        {hasRun && record !== null && (
          <Anchor component={Link} to={`/runs/${record.run_id}`} size="xs">
            {t("lineage.open_run")}
          </Anchor>
        )}
        {tree.again && <span>{t("lineage.again")}</span>}
      </div>
      {record?.stage != null && !tree.again && (
        <details className="ng-more">
          <summary>{t("lineage.config")}</summary>
          <Code block fz={12}>
            {JSON.stringify(record.stage, null, 2)}
          </Code>
        </details>
      )}
      {tree.parents.length > 0 && (
        <ul>
          {tree.parents.map((parent) => (
            <Branch key={`${parent.slot} ${parent.id}`} tree={parent} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** Bundled or opened data and models, or an artefact that is no longer there. */
function Reference({ id }: { readonly id: string }) {
  const { t } = useTranslation();
  const datasets = useDatasets((state) => state.entries);
  const models = useModels((state) => state.entries);
  if (/^[0-9a-f]{64}$/.test(id))
    return (
      <>
        <Text size="sm" ff="monospace">
          {id.slice(0, 12)}
        </Text>
        <span>{t("lineage.gone")}</span>
      </>
    );
  const model = models.find(({ reference }) => reference === id);
  if (model === undefined)
    return (
      <Anchor component={Link} to="/data" size="sm">
        {datasetLabel(id, datasets, (split) => t(`dataset.split_${split}`))}
      </Anchor>
    );
  return (
    <>
      <Anchor component={Link} to="/models" size="sm">
        {modelLabel(id, models)}
      </Anchor>
      {model.credit.license !== null && <span>{licenseName(model.credit.license)}</span>}
      {model.credit.holder !== null && <span>{model.credit.holder}</span>}
    </>
  );
}
