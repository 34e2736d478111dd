/** An evaluation: what its means are worth, then every prompt with what each model made of it. */
import { Button, Group, Loader, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Generation } from "../../shared/protocol/artefact";
import type { Metrics } from "../../shared/protocol/events";
import { useArtefacts } from "../../stores/artefacts";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { SortControls } from "../common/SortControls";
import { useFormat } from "../common/use-format";
import {
  type Comparison,
  compareTexts,
  differenceOf,
  type Mean,
  meaningOf,
  type SortKey,
  selectRows,
  summarise,
  type TextRow,
} from "./compare-texts";
import "./results.css";

const PAGE = 25;
const NO_METRICS: Metrics = {};

export function TextsView({ artefact }: { readonly artefact: string }) {
  const { t } = useTranslation();
  const texts = useArtefacts((state) => state.generations[artefact]);
  const seed = useArtefacts((state) => state.artefacts.find(({ id }) => id === artefact)?.seed ?? 0);
  const metrics = useRuns((state) => state.runs.find((run) => run.artefact === artefact)?.metrics);
  const read = useArtefacts((state) => state.read);
  useEffect(() => void read(artefact), [read, artefact]);
  const comparison = useMemo(() => (texts?.status === "ready" ? compareTexts(texts.value) : null), [texts]);
  if (texts?.status === "failed") return <ErrorPanel error={texts.error} />;
  if (comparison === null) return <Loader size="sm" aria-label={t("results.loading")} />;
  return (
    <Stack gap="md">
      <Summary comparison={comparison} seed={seed} metrics={metrics ?? NO_METRICS} />
      <Texts comparison={comparison} />
    </Stack>
  );
}

interface SummaryProps {
  readonly comparison: Comparison;
  readonly seed: number;
  /** Of the evaluation's run: what needs tokens, which the texts no longer have. */
  readonly metrics: Metrics;
}

function Summary({ comparison, seed, metrics }: SummaryProps) {
  const { t } = useTranslation();
  const models = useMemo(() => summarise(comparison, seed), [comparison, seed]);
  return (
    <Section title={t("results.summary")} help={t("results.interval_help")}>
      <Table.ScrollContainer
        minWidth={520}
        scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("results.summary_table") } }}
      >
        <Table className="ng-numeric ng-summary" aria-label={t("results.summary")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("results.model")}</Table.Th>
              {comparison.rewards.map((name) => (
                <Table.Th scope="col" key={name}>
                  {t("results.reward", { name })}
                </Table.Th>
              ))}
              <Table.Th scope="col">{t("results.kl")}</Table.Th>
              <Table.Th scope="col">{t("results.distinct")}</Table.Th>
              <Table.Th scope="col">{t("results.length")}</Table.Th>
              <Table.Th scope="col">{t("results.cut_off")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {models.map((one) => (
              <Table.Tr key={one.model}>
                <Table.Th scope="row">
                  {one.model}
                  {one.differences === null && (
                    <Text size="xs" c="dimmed" fw={400}>
                      {t("results.first")}
                    </Text>
                  )}
                </Table.Th>
                {comparison.rewards.map((name) => (
                  <Table.Td key={name}>
                    <b>{formatValue(one.rewards[name], 3)}</b>
                    {one.differences !== null && <Difference mean={one.differences[name] ?? null} />}
                  </Table.Td>
                ))}
                <Table.Td>{formatValue(one.kl, 3)}</Table.Td>
                <Table.Td>{formatPercent(metrics[`${one.model}/distinct2`])}</Table.Td>
                <Table.Td>{formatValue(one.length, 3)}</Table.Td>
                <Table.Td>{formatPercent(one.cut_off)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

const TONES = { better: "--ng-good", worse: "--ng-bad", unclear: "--ng-text-quiet" } as const;

function Difference({ mean }: { readonly mean: Mean | null }) {
  const { t } = useTranslation();
  if (mean === null) return null;
  const meaning = meaningOf(mean);
  return (
    <div className="ng-difference">
      <span style={{ color: `var(${TONES[meaning]})` }}>
        {signed(mean.mean)} {t(`results.${meaning}`)}
      </span>
      {mean.interval !== null && (
        <span>{t("results.interval", { low: signed(mean.interval.low), high: signed(mean.interval.high) })}</span>
      )}
    </div>
  );
}

function Texts({ comparison }: { readonly comparison: Comparison }) {
  const { t } = useTranslation();
  const format = useFormat();
  const sorts = useSorts(comparison);
  const [sort, setSort] = useState(() => sorts[1]?.value ?? "item");
  const [descending, setDescending] = useState(true);
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const deferred = useDeferredValue(search);
  const key = sorts.find(({ value }) => value === sort)?.key;
  const rows = useMemo(
    () => selectRows(comparison, { sort: key ?? { by: "item" }, descending, search: deferred }),
    [comparison, key, descending, deferred],
  );
  const rest = rows.length - limit;
  return (
    <Section title={t("results.title")}>
      <Stack gap="sm">
        <Group gap="md" align="flex-end">
          <SortControls
            sorts={sorts}
            sort={sort}
            onSort={setSort}
            descending={descending}
            onDescending={setDescending}
            directions={["down", "up"]}
          />
          <TextInput
            aria-label={t("results.search")}
            placeholder={t("results.search")}
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <Text size="sm" c="dimmed" role="status" className="ng-numeric">
            {t("results.texts_count", { count: format.count(rows.length) })}
          </Text>
        </Group>
        {rows.length === 0 ? (
          <Text>{t("results.none")}</Text>
        ) : (
          <Table className="ng-side" aria-label={t("results.table")}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t("results.item")}</Table.Th>
                {comparison.models.map((model) => (
                  <Table.Th scope="col" key={model}>
                    {model}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.slice(0, limit).map((row) => (
                <Table.Tr key={row.item}>
                  <Table.Th scope="row" fw={400} className="ng-numeric">
                    {row.item + 1}
                  </Table.Th>
                  {comparison.models.map((model) => (
                    <Table.Td key={model}>
                      <Cell comparison={comparison} row={row} model={model} />
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        {rest > 0 && (
          <Button variant="default" onClick={() => setLimit(limit + PAGE)}>
            {t("results.more", { count: Math.min(PAGE, rest) })}
          </Button>
        )}
      </Stack>
    </Section>
  );
}

interface CellProps {
  readonly comparison: Comparison;
  readonly row: TextRow;
  readonly model: string;
}

function Cell({ comparison, row, model }: CellProps) {
  const text: Generation | undefined = row.texts[model];
  if (text === undefined) return "–";
  const [reference = ""] = comparison.models;
  return (
    <>
      <span className="ng-side-model" aria-hidden>
        {model}
      </span>
      <p className="ng-sentence" lang="ja">
        <mark>{text.prompt}</mark>
        {text.text}
      </p>
      <Figures
        text={text}
        rewards={comparison.rewards}
        difference={(name) => (model === reference ? null : differenceOf(row, model, reference, name))}
      />
    </>
  );
}

interface FiguresProps {
  readonly text: Generation;
  readonly rewards: readonly string[];
  readonly difference: (reward: string) => number | null;
}

function Figures({ text, rewards, difference }: FiguresProps) {
  const { t } = useTranslation();
  return (
    <div className="ng-side-figures ng-numeric">
      {rewards.map((name) => {
        const change = difference(name);
        return (
          <span key={name}>
            {name} <b>{formatValue(text.rewards[name], 3)}</b>
            {change !== null && (
              <span style={{ color: `var(${change > 0 ? "--ng-good" : change < 0 ? "--ng-bad" : "--ng-text-quiet"})` }}>
                {" "}
                {signed(change)}
              </span>
            )}
          </span>
        );
      })}
      {text.kl !== null && <span>{t("results.kl_value", { value: formatValue(text.kl, 3) })}</span>}
      <span>{t("results.characters", { count: text.length })}</span>
      {!text.finished && <span>{t("results.cut_off")}</span>}
    </div>
  );
}

interface Sort {
  readonly value: string;
  readonly label: string;
  readonly key: SortKey;
}

function useSorts({ models, rewards }: Comparison): Sort[] {
  const { t } = useTranslation();
  const several = (by: "difference" | "reward", from: readonly string[]): Sort[] =>
    from.flatMap((model) =>
      rewards.map((reward) => ({
        value: `${by} ${model} ${reward}`,
        label: t(`results.sort_${by}`, { model, reward }),
        key: { by, model, reward },
      })),
    );
  const single = (by: "kl" | "length", from: readonly string[]): Sort[] =>
    from.map((model) => ({ value: `${by} ${model}`, label: t(`results.sort_${by}`, { model }), key: { by, model } }));
  return [
    { value: "item", label: t("results.sort_item"), key: { by: "item" } },
    ...several("difference", models.slice(1)),
    ...several("reward", models),
    ...single("kl", models.slice(1)),
    ...single("length", models),
  ];
}

function signed(value: number): string {
  return `${value > 0 ? "+" : ""}${formatValue(value, 3)}`;
}
