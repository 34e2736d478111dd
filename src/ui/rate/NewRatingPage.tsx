/** A new rating session: where the texts come from, what is asked, and how much it can show before anybody votes. */
import { Loader, SegmentedControl, Select, Stack, Text } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { type ErrorData, toErrorData } from "../../shared/errors";
import { stageOf } from "../../shared/protocol/run";
import { textsFromFiles } from "../../shared/ratings/from-files";
import { useArtefacts } from "../../stores/artefacts";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import { checkpointSource, hasCheckpointTexts } from "./checkpoint-source";
import { FileDrop } from "./FileDrop";
import { evaluationSource, fileSource, type TextSource } from "./new-rating";
import { SessionForm } from "./SessionForm";
import "./ratings.css";

const FROM = ["evaluation", "run", "files"] as const;
type From = (typeof FROM)[number];

interface Found {
  /** Of the source: another one is another form. */
  readonly key: string;
  readonly name: string;
  readonly source: TextSource;
}

export function NewRatingPage() {
  const { t } = useTranslation();
  const [query, setQuery] = useSearchParams();
  const asked = query.get("artefact");
  const run = query.get("run");
  const loaded = useArtefacts((state) => state.loaded);
  const evaluations = useArtefacts((state) => state.artefacts).filter(({ kind }) => kind === "generations");
  const [chosen, setChosen] = useState<From | null>(null);
  const from = chosen ?? (run !== null ? "run" : asked !== null || evaluations.length > 0 ? "evaluation" : "files");
  const evaluation = useEvaluation(from === "evaluation" ? (asked ?? evaluations[0]?.id ?? null) : null);
  const checkpoints = useCheckpoints(from === "run" ? run : null);
  const files = useFiles();
  const { found, error } = { evaluation, run: checkpoints, files }[from];
  return (
    <Page title={t("ratings.new_title")} lead={t("ratings.new_lead")}>
      <Section title={t("ratings.texts")}>
        <Stack gap="md" align="flex-start">
          <SegmentedControl
            aria-label={t("ratings.texts")}
            value={from}
            onChange={(value) => setChosen(FROM.find((one) => one === value) ?? "evaluation")}
            data={FROM.map((value) => ({ value, label: t(`ratings.from_${value}`) }))}
          />
          {from === "run" ? (
            <>
              <RunSelect value={run} onChange={(id) => setQuery({ run: id }, { replace: true })} />
              {run !== null && found === null && (
                <Text size="sm" c="dimmed">
                  {t("ratings.no_checkpoints")}
                </Text>
              )}
            </>
          ) : from === "files" ? (
            <FileDrop
              label={t("ratings.choose_files")}
              help={t("ratings.files_help")}
              accept=".jsonl,.ndjson,.json"
              names={files.names}
              onFiles={files.read}
            />
          ) : !loaded ? (
            <Loader size="sm" aria-label={t("app.loading")} />
          ) : evaluations.length === 0 ? (
            <Text size="sm" c="dimmed">
              {t("ratings.no_evaluation")}
            </Text>
          ) : (
            <EvaluationSelect
              value={asked ?? evaluations[0]?.id ?? null}
              onChange={(id) => setQuery({ artefact: id }, { replace: true })}
            />
          )}
          {evaluation.loading && from === "evaluation" && <Loader size="sm" aria-label={t("results.loading")} />}
        </Stack>
      </Section>
      {error !== null && <ErrorPanel error={error} />}
      {found !== null && <SessionForm key={found.key} source={found.source} defaultName={found.name} />}
    </Page>
  );
}

function EvaluationSelect({ value, onChange }: { readonly value: string | null; onChange: (id: string) => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const artefacts = useArtefacts((state) => state.artefacts);
  return (
    <Select
      label={t("ratings.evaluation")}
      w="min(100%, 460px)"
      allowDeselect={false}
      value={value}
      onChange={(id) => id !== null && onChange(id)}
      data={artefacts
        .filter(({ kind }) => kind === "generations")
        .map(({ id, name, created }) => ({ value: id, label: `${name} · ${format.time(created)}` }))}
    />
  );
}

/** Runs that have learnt with a reward or from pairs: those write the same prompts at every evaluation. */
function RunSelect({ value, onChange }: { readonly value: string | null; onChange: (id: string) => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  const runs = useRuns((state) => state.runs);
  return (
    <Select
      label={t("ratings.run")}
      description={t("ratings.run_help")}
      w="min(100%, 460px)"
      allowDeselect={false}
      value={value}
      onChange={(id) => id !== null && onChange(id)}
      data={runs
        .filter((run) => ["sft", "ppo", "dpo"].includes(stageOf(run).stage))
        .map((run) => ({
          value: run.run_id,
          label: `${run.config.name} · ${run.stage} · ${format.time(run.created)}`,
        }))}
    />
  );
}

interface Reading {
  readonly found: Found | null;
  readonly error: ErrorData | null;
}

function useEvaluation(id: string | null): Reading & { readonly loading: boolean } {
  const artefacts = useArtefacts((state) => state.artefacts);
  const texts = useArtefacts((state) => (id === null ? undefined : state.generations[id]));
  const read = useArtefacts((state) => state.read);
  useEffect(() => {
    if (id !== null) void read(id);
  }, [id, read]);
  const record = artefacts.find((one) => one.id === id);
  const found = useMemo(
    () =>
      record === undefined || texts?.status !== "ready"
        ? null
        : { key: record.id, name: record.name, source: evaluationSource(record, texts.value, artefacts) },
    [record, texts, artefacts],
  );
  return {
    found,
    error: texts?.status === "failed" ? texts.error : null,
    loading: id !== null && (texts === undefined || texts.status === "loading"),
  };
}

function useCheckpoints(id: string | null): Reading {
  const run = useRuns((state) => state.runs.find(({ run_id }) => run_id === id));
  const detail = useRuns((state) => (id === null ? undefined : state.details[id]));
  const open = useRuns((state) => state.open);
  const known = run !== undefined;
  useEffect(() => {
    if (id !== null && known) open(id).catch(() => undefined);
  }, [id, known, open]);
  return useMemo(() => {
    if (run === undefined || !hasCheckpointTexts(detail)) return { found: null, error: null };
    const name = `${run.config.name} · ${run.stage}`;
    return {
      found: { key: `${run.run_id} ${detail.texts.length}`, name, source: checkpointSource(run, detail) },
      error: null,
    };
  }, [run, detail]);
}

function useFiles(): Reading & { readonly names: readonly string[]; read(files: readonly File[]): void } {
  const { t } = useTranslation();
  const [names, setNames] = useState<readonly string[]>([]);
  const [reading, setReading] = useState<Reading>({ found: null, error: null });
  const read = async (files: readonly File[]): Promise<void> => {
    if (files.length === 0) return;
    setNames(files.map(({ name }) => name));
    try {
      const texts = await Promise.all(files.map(async (file) => ({ name: file.name, text: await file.text() })));
      const source = fileSource(textsFromFiles(texts));
      setReading({ found: { key: crypto.randomUUID(), name: t("ratings.default_name"), source }, error: null });
    } catch (thrown) {
      setReading({ found: null, error: toErrorData(thrown) });
    }
  };
  return { ...reading, names, read: (files) => void read(files) };
}
