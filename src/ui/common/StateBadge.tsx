/** The state of a run: a dot and a word (never the colour alone). */
import { useTranslation } from "react-i18next";
import type { RunState } from "../../shared/protocol/events";
import "./common.css";

const COLORS: Readonly<Record<RunState, string>> = {
  queued: "--ng-text-quiet",
  preparing: "--ng-line",
  running: "--ng-line",
  paused: "--ng-warn",
  finished: "--ng-good",
  stopped: "--ng-text-quiet",
  failed: "--ng-bad",
};

export function StateBadge({ state }: { readonly state: RunState }) {
  const { t } = useTranslation();
  const live = state === "running" || state === "preparing" || state === "queued";
  return (
    <span className="ng-state" style={{ color: `var(${COLORS[state]})` }}>
      <span className="ng-dot" data-live={live || undefined} />
      {t(`state.${state}`)}
    </span>
  );
}
