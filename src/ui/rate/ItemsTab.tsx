/** The walk-through's table: id, prompt, both texts, votes, majority, rewards; sorted, filtered, exported. */
import { Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { PairFigures } from "../../shared/ratings/figures";
import {
  type RowShow,
  type RowSort,
  selectVerdictRows,
  type VerdictTable,
  verdictTable,
} from "../../shared/ratings/rows";
import { type Rating, votesOf } from "../../stores/ratings";
import { Section } from "../common/Page";
import { SortControls } from "../common/SortControls";
import { useFormat } from "../common/use-format";
import { ExportButtons } from "./ExportButtons";
import { ItemsTable } from "./ItemsTable";

const PAGE = 25;

export interface ItemsTabProps {
  readonly rating: Rating;
  readonly pair: readonly [string, string];
  readonly figures: PairFigures | null;
}

export function ItemsTab({ rating, pair, figures }: ItemsTabProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const table = useMemo(() => verdictTable(rating.record.session, votesOf(rating), pair), [rating, pair]);
  const sorts = useSorts(table);
  const shows = useShows(table);
  const [sort, setSort] = useState("item");
  const [descending, setDescending] = useState(false);
  const [show, setShow] = useState<RowShow>("all");
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const deferred = useDeferredValue(search);
  const key = sorts.find(({ value }) => value === sort)?.key;
  const rows = useMemo(
    () =>
      selectVerdictRows(table, {
        sort: key ?? { by: "item" },
        descending,
        search: deferred,
        show,
        reward: table.rewards[0] ?? null,
      }),
    [table, key, descending, deferred, show],
  );
  const rest = rows.length - limit;
  return (
    <Section
      title={t("verdicts.items")}
      help={t("verdicts.tie_rule")}
      actions={<ExportButtons rating={rating} table={table} rows={rows} figures={figures} />}
    >
      <Stack gap="sm">
        <Group gap="md" align="flex-end">
          <SortControls
            sorts={sorts}
            sort={sort}
            onSort={setSort}
            descending={descending}
            onDescending={setDescending}
            directions={["up", "down"]}
          />
          <Select
            label={t("verdicts.show")}
            w={210}
            allowDeselect={false}
            value={show}
            onChange={(value) => setShow(shows.find((one) => one.value === value)?.value ?? "all")}
            data={shows.map(({ value, label }) => ({ value, label }))}
          />
          <TextInput
            aria-label={t("results.search")}
            placeholder={t("results.search")}
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <Text size="sm" c="dimmed" role="status" className="ng-numeric">
            {t("verdicts.items_count", { count: format.count(rows.length) })}
          </Text>
        </Group>
        {rows.length === 0 ? (
          <Text>{t("verdicts.no_rows")}</Text>
        ) : (
          <ItemsTable table={table} rows={rows.slice(0, limit)} />
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

interface Sort {
  readonly value: string;
  readonly label: string;
  readonly key: RowSort;
}

function useSorts({ models, rewards }: VerdictTable): Sort[] {
  const { t } = useTranslation();
  return useMemo(
    () => [
      { value: "item", label: t("results.sort_item"), key: { by: "item" } },
      { value: "share", label: t("verdicts.sort_share", { model: models[1] }), key: { by: "share" } },
      { value: "agreement", label: t("verdicts.sort_agreement"), key: { by: "agreement" } },
      ...rewards.flatMap((reward): Sort[] => [
        ...([0, 1] as const).map(
          (side): Sort => ({
            value: `reward ${side} ${reward}`,
            label: t("results.sort_reward", { model: models[side], reward }),
            key: { by: "reward", reward, side },
          }),
        ),
        {
          value: `difference ${reward}`,
          label: t("results.sort_difference", { model: models[1], reward }),
          key: { by: "difference", reward },
        },
        {
          value: `conflict ${reward}`,
          label: t("verdicts.sort_conflict", { reward }),
          key: { by: "conflict", reward },
        },
      ]),
    ],
    [models, rewards, t],
  );
}

function useShows({ models: [a, b], rewards }: VerdictTable): { value: RowShow; label: string }[] {
  const { t } = useTranslation();
  return [
    { value: "all", label: t("verdicts.show_all") },
    { value: "a", label: t("verdicts.show_won", { model: a }) },
    { value: "b", label: t("verdicts.show_won", { model: b }) },
    { value: "tie", label: t("verdicts.show_tie") },
    { value: "none", label: t("verdicts.show_none") },
    ...(rewards.length > 0 ? [{ value: "conflict" as const, label: t("verdicts.show_conflict") }] : []),
  ];
}
