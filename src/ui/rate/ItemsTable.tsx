/** Rows of the verdict's table. On a phone each row is a card. */
import { Table } from "@mantine/core";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import { votesText } from "../../shared/ratings/export";
import type { VerdictRow, VerdictTable } from "../../shared/ratings/rows";
import { formatValue } from "../common/format";

export interface ItemsTableProps {
  readonly table: VerdictTable;
  readonly rows: readonly VerdictRow[];
}

export function ItemsTable({ table, rows }: ItemsTableProps) {
  const { t } = useTranslation();
  const [a, b] = table.models;
  return (
    <Table className="ng-verdict-table" aria-label={t("verdicts.items")}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th scope="col">{t("verdicts.id")}</Table.Th>
          <Table.Th scope="col" className="ng-choice-a">
            {a}
          </Table.Th>
          <Table.Th scope="col" className="ng-choice-b">
            {b}
          </Table.Th>
          <Table.Th scope="col" data-narrow>
            {t("verdicts.votes")}
          </Table.Th>
          {table.rewards.length > 0 && (
            <Table.Th scope="col" data-narrow>
              {t("verdicts.rewards")}
            </Table.Th>
          )}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Row key={row.item} row={row} table={table} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

const Row = memo(function Row({ row, table }: { readonly row: VerdictRow; readonly table: VerdictTable }) {
  const { t } = useTranslation();
  const [a, b] = table.models;
  const [forA, forB, ties] = row.counts;
  const majority =
    row.majority === null ? t("verdicts.no_vote") : row.majority === 0 ? a : row.majority === 1 ? b : t("verdicts.tie");
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={400} className="ng-numeric ng-sentence">
        {row.item}
      </Table.Th>
      {([a, b] as const).map((model) => (
        <Table.Td key={model}>
          <span className="ng-cell-head">{model}</span>
          <p className="ng-sentence" lang="ja">
            <mark>{row.prompt}</mark>
            {model === a ? row.text_a : row.text_b}
          </p>
        </Table.Td>
      ))}
      <Table.Td className="ng-numeric">
        <span className="ng-cell-head">{t("verdicts.votes")}</span>
        <b>{votesText(row)}</b>
        <div className="ng-votes-bar" aria-hidden>
          {forA > 0 && <span data-side="a" style={{ flexGrow: forA }} />}
          {ties > 0 && <span data-side="tie" style={{ flexGrow: ties }} />}
          {forB > 0 && <span data-side="b" style={{ flexGrow: forB }} />}
        </div>
        <div
          className={row.majority === 0 ? "ng-choice-a" : row.majority === 1 ? "ng-choice-b" : undefined}
          style={{ fontSize: 13, fontWeight: 600 }}
        >
          {majority}
        </div>
        {row.votes.length > 0 && (
          <details className="ng-more">
            <summary>{t("verdicts.ballots")}</summary>
            <ul className="ng-ballots">
              {row.votes.map(({ rater, choice, model, ms, repeat }) => (
                // A rater may stand here twice: the second is a repeat.
                <li key={`${rater} ${repeat} ${choice} ${ms}`}>
                  {t(repeat ? "verdicts.ballot_repeat" : "verdicts.ballot", {
                    rater,
                    choice: model ?? t(`verdicts.choice_${choice}`),
                  })}
                </li>
              ))}
            </ul>
          </details>
        )}
      </Table.Td>
      {table.rewards.length > 0 && (
        <Table.Td className="ng-numeric">
          <span className="ng-cell-head">{t("verdicts.rewards")}</span>
          {table.rewards.map((name) => {
            const [ofA = null, ofB = null] = row.rewards[name] ?? [];
            return (
              <div key={name} style={{ fontSize: 13 }}>
                {table.rewards.length > 1 && <span style={{ color: "var(--mantine-color-dimmed)" }}>{name} </span>}
                <span className="ng-choice-a">{formatValue(ofA, 3)}</span>
                {" / "}
                <span className="ng-choice-b">{formatValue(ofB, 3)}</span>
              </div>
            );
          })}
        </Table.Td>
      )}
    </Table.Tr>
  );
});
