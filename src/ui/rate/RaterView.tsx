/**
 * The rater's page: two texts, one question, no hint at who wrote them. Works with the keyboard alone, on a phone and
 * without WebGPU. What it shows comes from a `RaterSource`, which knows no more than this page does.
 */
import { Loader } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { BlindShowing, VoteChoice } from "../../shared/protocol/rating";
import type { RaterLink, RaterSource, ShownRewards } from "../../shared/ratings/rater-source";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatValue } from "../common/format";
import { RaterActions } from "./RaterActions";
import { RaterDone, type RaterTotals } from "./RaterDone";
import { useRater } from "./use-rater";
import "./rate.css";

export interface RaterViewProps {
  readonly source: RaterSource;
  /** Beside the progress: the way out, say. */
  readonly leave?: ReactNode;
  /** Below the thanks once everything is voted on: what the rater does next. */
  readonly done?: (totals: RaterTotals) => ReactNode;
}

const KEYS: Readonly<Record<string, VoteChoice>> = {
  "1": "left",
  "2": "right",
  "3": "tie",
  t: "tie",
  "4": "both_bad",
  b: "both_bad",
  s: "skip",
};

export function RaterView({ source, leave, done }: RaterViewProps) {
  const { t } = useTranslation();
  const rater = useRater(source);
  const { page, showing } = rater;
  const rewards = useRewards(source, showing);

  useEffect(() => {
    document.title = t("rate.title");
  }, [t]);

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
      // Full-width digits and letters of a Japanese keyboard are the same keys.
      const key = event.key.normalize("NFKC").toLowerCase();
      const choice = KEYS[key];
      if (key === "u" || key === "backspace") rater.undo();
      else if (choice !== undefined && allowed(choice, page)) rater.vote(choice);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  });

  if (page === null)
    return rater.error !== null ? (
      <ErrorPanel error={rater.error} />
    ) : (
      <Loader size="sm" aria-label={t("app.loading")} />
    );
  const total = page.showings.length;
  const voted = rater.answers.size;
  return (
    <div className="ng-rate">
      <header className="ng-rate-head">
        <progress className="ng-rate-progress" value={voted} max={total} aria-label={t("rate.progress")} />
        <div className="ng-rate-line">
          <span>{page.rater}</span>
          <span className="ng-numeric" role="status">
            {t("rate.count", { done: voted, total })}
          </span>
          {leave !== undefined && <span className="ng-rate-leave">{leave}</span>}
        </div>
        {rater.link !== null && <LinkNote link={rater.link} />}
      </header>
      {showing === null ? (
        <RaterDone page={page} answers={rater.answers} onRevisit={rater.revisit} onUndo={rater.undo} done={done} />
      ) : (
        <>
          <h1 className="ng-rate-question">{page.question}</h1>
          <div className="ng-rate-pair" key={showing.number}>
            <Candidate showing={showing} side="left" rewards={rewards} />
            <Candidate showing={showing} side="right" rewards={rewards} />
          </div>
          {rater.error !== null && <ErrorPanel error={rater.error} />}
          <RaterActions page={page} busy={rater.busy} canUndo={rater.canUndo} onVote={rater.vote} onUndo={rater.undo} />
        </>
      )}
    </div>
  );
}

function allowed(choice: VoteChoice, page: { allow_tie: boolean; allow_both_bad: boolean } | null): boolean {
  if (choice === "tie") return page?.allow_tie ?? false;
  return choice !== "both_bad" || (page?.allow_both_bad ?? false);
}

interface CandidateProps {
  readonly showing: BlindShowing;
  readonly side: "left" | "right";
  readonly rewards: ShownRewards | null;
}

function Candidate({ showing, side, rewards }: CandidateProps) {
  const { t } = useTranslation();
  const number = side === "left" ? 1 : 2;
  return (
    <article className="ng-rate-text" aria-labelledby={`candidate-${number}`}>
      <h2 id={`candidate-${number}`}>{t("rate.candidate", { number })}</h2>
      <p lang="ja">
        <span className="ng-rate-prompt">{showing.prompt}</span>
        {showing[side]}
      </p>
      {rewards !== null && (
        <dl className="ng-rate-rewards ng-numeric">
          {Object.entries(rewards[side]).map(([name, value]) => (
            <div key={name}>
              <dt>{t("rate.reward", { name })}</dt>
              <dd>{formatValue(value, 3)}</dd>
            </div>
          ))}
        </dl>
      )}
    </article>
  );
}

function LinkNote({ link }: { readonly link: RaterLink }) {
  const { t } = useTranslation();
  if (link.online && link.unsent === 0) return null;
  return (
    <p className="ng-notice" data-tone="warn" role="status">
      {t(link.online ? "rate.sending" : "rate.offline", { count: link.unsent })}
    </p>
  );
}

/** Where the session shows them; null until they are there for this showing. */
function useRewards(source: RaterSource, showing: BlindShowing | null): ShownRewards | null {
  const [known, setKnown] = useState<{ readonly number: number; readonly rewards: ShownRewards } | null>(null);
  const number = showing?.number ?? null;
  useEffect(() => {
    if (number === null || source.rewards === undefined) return;
    let current = true;
    source.rewards(number).then(
      (rewards) => current && setKnown({ number, rewards }),
      () => current && setKnown(null),
    );
    return () => {
      current = false;
    };
  }, [source, number]);
  return known !== null && known.number === number ? known.rewards : null;
}
