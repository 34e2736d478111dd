/** The stages as a graph, from top to bottom: what each builds on, how far it is, what came of it. */
import { IconAlertTriangle } from "@tabler/icons-react";
import type { CSSProperties, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { BASE_SLOT, type StageConfig } from "../../shared/protocol/config";
import { outputOf, slotsOf } from "../../shared/protocol/pipeline-slots";
import { layoutOf, type Placed, pathOf } from "./layout";
import "./pipeline.css";

export interface NodeFacts {
  /** In words, with a dot: the state, or what is wrong with the settings. */
  readonly state: ReactNode;
  /** The same for a screen reader. */
  readonly stateText: string;
  /** Share of the work done in [0, 1], null where it has not begun. */
  readonly progress: number | null;
  /** The one number to know. */
  readonly figure: string;
  readonly alarms: number;
}

export interface GraphProps {
  readonly stages: readonly StageConfig[];
  readonly base: string;
  readonly selected: string;
  readonly onSelect: (id: string) => void;
  readonly facts: (stage: StageConfig) => NodeFacts;
}

const MARGIN = 2;

export function Graph({ stages, base, selected, onSelect, facts }: GraphProps) {
  const { t } = useTranslation();
  const layout = layoutOf(stages);
  const place = new Map(layout.nodes.map((node) => [node.id, node]));
  const bottom = place.get(BASE_SLOT);
  return (
    <div className="ng-graph-scroll">
      <div className="ng-graph" style={{ width: layout.width + 2 * MARGIN, height: layout.height + 2 * MARGIN }}>
        <svg width={layout.width + 2 * MARGIN} height={layout.height + 2 * MARGIN} aria-hidden className="ng-edges">
          <defs>
            {(["model", "reward"] as const).map((kind) => (
              <marker
                key={kind}
                id={`ng-arrow-${kind}`}
                viewBox="0 0 8 8"
                refX="7"
                refY="4"
                markerUnits="userSpaceOnUse"
                markerWidth="9"
                markerHeight="9"
                orient="auto"
                data-kind={kind}
              >
                <path d="M0,0.8 L7,4 L0,7.2 z" />
              </marker>
            ))}
          </defs>
          <g transform={`translate(${MARGIN} ${MARGIN})`}>
            {layout.edges.map((edge) => (
              <path
                key={`${edge.from} ${edge.to}`}
                d={pathOf(edge.points)}
                data-kind={edge.kind}
                data-near={edge.from === selected || edge.to === selected || undefined}
                markerEnd={`url(#ng-arrow-${edge.kind})`}
              />
            ))}
          </g>
        </svg>
        {bottom !== undefined && (
          <div className="ng-node-base" style={at(bottom)}>
            <span>{t("pipeline.base")}</span> <b>{base}</b>
          </div>
        )}
        <ol aria-label={t("pipeline.graph")}>
          {stages.map((stage, index) => {
            const placed = place.get(stage.id);
            return placed === undefined ? null : (
              <li key={stage.id}>
                <Node
                  stage={stage}
                  number={index + 1}
                  placed={placed}
                  selected={stage.id === selected}
                  onSelect={onSelect}
                  facts={facts(stage)}
                />
              </li>
            );
          })}
        </ol>
      </div>
      <p className="ng-graph-legend">
        <span data-kind="model">{t("pipeline.edge_model")}</span>
        <span data-kind="reward">{t("pipeline.edge_reward")}</span>
      </p>
    </div>
  );
}

interface NodeProps {
  readonly stage: StageConfig;
  readonly number: number;
  readonly placed: Placed;
  readonly selected: boolean;
  readonly onSelect: (id: string) => void;
  readonly facts: NodeFacts;
}

function Node({ stage, number, placed, selected, onSelect, facts }: NodeProps) {
  const { t } = useTranslation();
  const inputs = slotsOf(stage)
    .map(({ value }) => value)
    .join(", ");
  const output = t(`artefact_kinds.${outputOf(stage)}`);
  const name = t(`stages.${stage.stage}`);
  const label = t("pipeline.node", {
    number,
    name,
    id: stage.id,
    state: facts.stateText,
    figure: facts.figure === "" ? "–" : facts.figure,
    inputs,
    output,
  });
  return (
    <button
      type="button"
      className="ng-node"
      style={at(placed)}
      aria-pressed={selected}
      aria-label={label}
      onClick={() => onSelect(stage.id)}
    >
      <span className="ng-node-head">
        <b>{name}</b>
        {facts.alarms > 0 && <IconAlertTriangle size={15} stroke={2} aria-hidden className="ng-node-alarm" />}
      </span>
      <span className="ng-node-id">
        {stage.id} → {output}
      </span>
      <span className="ng-node-foot">
        <span className="ng-numeric ng-node-figure">{facts.figure}</span>
        {facts.state}
      </span>
      {facts.progress !== null && (
        <span className="ng-node-bar" aria-hidden>
          <span style={{ width: `${Math.round(facts.progress * 100)}%` }} />
        </span>
      )}
    </button>
  );
}

function at({ x, y, width, height }: Placed): CSSProperties {
  return { left: x + MARGIN, top: y + MARGIN, width, height };
}
