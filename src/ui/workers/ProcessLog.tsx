/** What the process of a run on a worker has written: for when its last words are an error. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { workerOf } from "../../shared/protocol/launch";
import type { RunRecord } from "../../shared/protocol/run";
import { useWorkers } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import "./workers.css";

export function ProcessLog({ run: { run_id, place } }: { readonly run: RunRecord }) {
  const { t } = useTranslation();
  const read = useWorkers((state) => state.log);
  const [log, setLog] = useState<{ readonly text: string; readonly offset: number } | null>(null);
  const { busy, error, run } = useAction();
  if (workerOf(place) === null) return null;
  const more = () =>
    run(async () => {
      let known = log ?? { text: "", offset: 0 };
      for (let grown = true; grown; ) {
        const next = await read(run_id, known.offset);
        grown = next.offset > known.offset;
        known = { text: known.text + next.text, offset: next.offset };
      }
      setLog(known);
    });
  return (
    <Section
      title={t("workers.log")}
      actions={
        <Button variant="default" size="compact-sm" loading={busy} onClick={() => void more()}>
          {t("workers.log_show")}
        </Button>
      }
    >
      {error !== null && <ErrorPanel error={error} />}
      {log !== null && (
        <section className="ng-worker-log" aria-label={t("workers.log")}>
          <pre className="ng-code">{log.text === "" ? t("workers.log_empty") : log.text}</pre>
        </section>
      )}
    </Section>
  );
}
