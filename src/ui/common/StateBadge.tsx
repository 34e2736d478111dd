/** The state of a run, a stage or a pipeline: a dot and a word (never the colour alone). */
import { useTranslation } from "react-i18next";
import type { PipelineState, StageState } from "../../shared/protocol/pipeline";
import "./common.css";

type AnyState = StageState | PipelineState;

const COLORS: Readonly<Record<AnyState, string>> = {
  ready: "--ng-text-quiet",
  waiting: "--ng-text-quiet",
  queued: "--ng-text-quiet",
  preparing: "--ng-line",
  running: "--ng-line",
  paused: "--ng-warn",
  finished: "--ng-good",
  stopped: "--ng-text-quiet",
  failed: "--ng-bad",
};

/** Name of the CSS custom property with the state's colour. */
export const stateColor = (state: AnyState): string => COLORS[state];

export function StateBadge({ state }: { readonly state: AnyState }) {
  const { t } = useTranslation();
  const live = state === "running" || state === "preparing" || state === "queued";
  return (
    <span className="ng-state" style={{ color: `var(${COLORS[state]})` }}>
      <span className="ng-dot" data-live={live || undefined} />
      {t(`state.${state}`)}
    </span>
  );
}
