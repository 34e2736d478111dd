/** By what a table is sorted, and in which direction. */
import { SegmentedControl, Select } from "@mantine/core";
import { useTranslation } from "react-i18next";

const DIRECTIONS = { up: "results.ascending", down: "results.descending" } as const;
type Direction = keyof typeof DIRECTIONS;

export interface SortControlsProps {
  readonly sorts: readonly { readonly value: string; readonly label: string }[];
  readonly sort: string;
  readonly onSort: (sort: string) => void;
  readonly descending: boolean;
  readonly onDescending: (descending: boolean) => void;
  /** The one the table begins with comes first. */
  readonly directions: readonly [Direction, Direction];
}

export function SortControls({ sorts, sort, onSort, descending, onDescending, directions }: SortControlsProps) {
  const { t } = useTranslation();
  return (
    <>
      <Select
        label={t("results.sort")}
        w={260}
        allowDeselect={false}
        value={sort}
        onChange={(value) => value !== null && onSort(value)}
        data={sorts.map(({ value, label }) => ({ value, label }))}
      />
      <SegmentedControl
        aria-label={t("results.direction")}
        value={descending ? "down" : "up"}
        onChange={(value) => onDescending(value === "down")}
        data={directions.map((value) => ({ value, label: t(DIRECTIONS[value]) }))}
      />
    </>
  );
}
