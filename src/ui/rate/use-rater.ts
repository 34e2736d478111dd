/** The state of a rater's page: which showing stands there, what was voted, how long it has been looked at. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type ErrorData, toErrorData } from "../../shared/errors";
import type { BlindShowing, BlindVote, RaterPage, VoteChoice } from "../../shared/protocol/rating";
import type { RaterLink, RaterSource } from "../../shared/ratings/rater-source";

export interface Rater {
  readonly page: RaterPage | null;
  readonly error: ErrorData | null;
  /** null: everything has been voted on. */
  readonly showing: BlindShowing | null;
  /** The vote on this showing, where one was taken back to. */
  readonly answers: ReadonlyMap<number, BlindVote>;
  readonly busy: boolean;
  readonly canUndo: boolean;
  readonly link: RaterLink | null;
  vote(choice: VoteChoice): void;
  undo(): void;
  /** Showings that were skipped come again. */
  revisit(): void;
}

/** Milliseconds the page was in front since `restart`. */
function useWatch() {
  const watch = useRef({ from: 0, sum: 0 });
  useEffect(() => {
    const change = () => {
      const now = performance.now();
      if (document.hidden) watch.current.sum += now - watch.current.from;
      watch.current.from = now;
    };
    document.addEventListener("visibilitychange", change);
    return () => document.removeEventListener("visibilitychange", change);
  }, []);
  return useMemo(
    () => ({
      restart: () => {
        watch.current = { from: performance.now(), sum: 0 };
      },
      read: () => Math.round(watch.current.sum + performance.now() - watch.current.from),
    }),
    [],
  );
}

export function useRater(source: RaterSource): Rater {
  const [page, setPage] = useState<RaterPage | null>(null);
  const [answers, setAnswers] = useState<ReadonlyMap<number, BlindVote>>(new Map());
  const [at, setAt] = useState<number | null>(null);
  const [history, setHistory] = useState<readonly number[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ErrorData | null>(null);
  const [link, setLink] = useState<RaterLink | null>(null);
  const watch = useWatch();
  const working = useRef(false);

  useEffect(() => {
    let current = true;
    source.state().then(
      (state) => {
        if (!current) return;
        const kept = new Map(state.answers.map((answer) => [answer.number, answer]));
        setPage(state.page);
        setAnswers(kept);
        setHistory([...kept.keys()].sort((one, other) => one - other));
        setAt(nextOpen(state.page, kept, 0));
      },
      (thrown) => current && setError(toErrorData(thrown)),
    );
    return () => {
      current = false;
    };
  }, [source]);

  useEffect(() => source.watch?.(setLink), [source]);

  useEffect(() => {
    if (at !== null) watch.restart();
  }, [at, watch]);

  const act = useCallback(async (action: () => Promise<void>) => {
    // Two quick presses are one vote: the second was meant for what it could not have read.
    if (working.current) return;
    working.current = true;
    setBusy(true);
    try {
      await action();
      setError(null);
    } catch (thrown) {
      setError(toErrorData(thrown));
    } finally {
      working.current = false;
      setBusy(false);
    }
  }, []);

  const vote = (choice: VoteChoice) => {
    if (page === null || at === null) return;
    const cast: BlindVote = { number: at, choice, ms: watch.read() };
    void act(async () => {
      await source.vote(cast);
      const next = new Map(answers).set(at, cast);
      setAnswers(next);
      setHistory([...history.filter((number) => number !== at), at]);
      setAt(nextOpen(page, next, at + 1));
    });
  };

  const undo = () => {
    const last = history.at(-1);
    if (last === undefined) return;
    void act(async () => {
      await source.undo(last);
      const next = new Map(answers);
      next.delete(last);
      setAnswers(next);
      setHistory(history.slice(0, -1));
      setAt(last);
    });
  };

  const revisit = () => {
    const skipped = [...answers.values()].filter(({ choice }) => choice === "skip").map(({ number }) => number);
    void act(async () => {
      for (const number of skipped) await source.undo(number);
      const next = new Map([...answers].filter(([number]) => !skipped.includes(number)));
      setAnswers(next);
      setHistory(history.filter((number) => !skipped.includes(number)));
      if (page !== null) setAt(nextOpen(page, next, 0));
    });
  };

  const showing = page?.showings.find(({ number }) => number === at) ?? null;
  return { page, error, showing, answers, busy, canUndo: history.length > 0, link, vote, undo, revisit };
}

/** The first showing without a vote from `from` on, else the first of all; null where none is left. */
function nextOpen(page: RaterPage, answers: ReadonlyMap<number, BlindVote>, from: number): number | null {
  const open = page.showings.filter(({ number }) => !answers.has(number));
  return (open.find(({ number }) => number >= from) ?? open[0])?.number ?? null;
}
