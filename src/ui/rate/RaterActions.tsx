/** The answers to choose from, each with its key. */
import { useTranslation } from "react-i18next";
import type { RaterPage, VoteChoice } from "../../shared/protocol/rating";

export interface RaterActionsProps {
  readonly page: Pick<RaterPage, "allow_tie" | "allow_both_bad">;
  readonly busy: boolean;
  readonly canUndo: boolean;
  readonly onVote: (choice: VoteChoice) => void;
  readonly onUndo: () => void;
}

export function RaterActions({ page, busy, canUndo, onVote, onUndo }: RaterActionsProps) {
  const { t } = useTranslation();
  const choices: readonly { choice: VoteChoice; keyName: string; main?: boolean }[] = [
    { choice: "left", keyName: "1", main: true },
    { choice: "right", keyName: "2", main: true },
    ...(page.allow_tie ? [{ choice: "tie" as const, keyName: "3" }] : []),
    ...(page.allow_both_bad ? [{ choice: "both_bad" as const, keyName: "4" }] : []),
    { choice: "skip", keyName: "S" },
  ];
  return (
    <fieldset className="ng-rate-actions" aria-label={t("rate.answers")}>
      {choices.map(({ choice, keyName, main }) => (
        <button
          key={choice}
          type="button"
          className="ng-rate-choice"
          data-main={main || undefined}
          aria-keyshortcuts={keyName}
          aria-disabled={busy}
          onClick={() => onVote(choice)}
        >
          <span>{t(`rate.choice_${choice}`)}</span>
          <kbd aria-hidden>{keyName}</kbd>
        </button>
      ))}
      <button
        type="button"
        className="ng-rate-choice"
        aria-keyshortcuts="U"
        aria-disabled={busy || !canUndo}
        data-off={!canUndo || undefined}
        onClick={onUndo}
      >
        <span>{t("rate.undo")}</span>
        <kbd aria-hidden>U</kbd>
      </button>
    </fieldset>
  );
}
