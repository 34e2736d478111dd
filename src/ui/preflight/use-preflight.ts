/** Asks again while a form is typed in: a moment after the last change, and the newest answer counts. */
import { useEffect, useState } from "react";
import { z } from "zod";
import { type ErrorData, toErrorData } from "../../shared/errors";
import { type RunConfig, runConfig } from "../../shared/protocol/config";
import { estimateStage, type StagePreflight } from "../../stores/preflight";

const questionSchema = z.object({ stage: z.string(), config: runConfig });

/** Milliseconds without a change. */
const PAUSE = 250;

export interface PreflightState {
  /** The newest answer; that to an earlier question while `busy`. */
  readonly result: StagePreflight | null;
  readonly error: ErrorData | null;
  readonly busy: boolean;
}

interface Answer {
  readonly question: string;
  readonly result: StagePreflight | null;
  readonly error: ErrorData | null;
}

/** @param config null: a field is wrong, or there is nothing to ask */
export function usePreflight(config: RunConfig | null, stage: string): PreflightState {
  const [answer, setAnswer] = useState<Answer | null>(null);
  // As a text, so that a new object with the same content asks nothing new; what a run is called changes nothing.
  const question = config === null ? null : JSON.stringify({ stage, config: { ...config, name: "preflight" } });
  useEffect(() => {
    if (question === null) return;
    let wanted = true;
    const give = (result: StagePreflight | null, error: ErrorData | null) => {
      if (wanted) setAnswer({ question, result, error });
    };
    const timer = setTimeout(() => {
      const asked = questionSchema.parse(JSON.parse(question));
      estimateStage(asked.config, asked.stage).then(
        (result) => give(result, null),
        (error: unknown) => give(null, toErrorData(error)),
      );
    }, PAUSE);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [question]);
  if (question === null || answer === null) return { result: null, error: null, busy: question !== null };
  const busy = answer.question !== question;
  return { result: answer.result, error: busy ? null : answer.error, busy };
}
