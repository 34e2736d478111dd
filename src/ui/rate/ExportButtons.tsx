/** The table as files: Markdown, CSV, JSONL, a picture; and the votes as the command line reads them. */
import { Button, Menu } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import {
  type ExportedVerdict,
  type ExportWords,
  toCsv,
  toJsonl,
  toMarkdown,
  toVotesFile,
} from "../../shared/ratings/export";
import type { PairFigures } from "../../shared/ratings/figures";
import { toPicture } from "../../shared/ratings/picture";
import type { VerdictRow, VerdictTable } from "../../shared/ratings/rows";
import { planSentence, verdictSentence, verdictText } from "../../shared/ratings/sentence";
import { type Rating, votesOf } from "../../stores/ratings";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { pngOf } from "./png";

export interface ExportButtonsProps {
  readonly rating: Rating;
  readonly table: VerdictTable;
  /** Those that are shown, in their order. */
  readonly rows: readonly VerdictRow[];
  readonly figures: PairFigures | null;
}

const FORMATS = ["md", "csv", "jsonl", "svg", "png", "votes", "figures"] as const;
type Format = (typeof FORMATS)[number];

export function ExportButtons({ rating, table, rows, figures }: ExportButtonsProps) {
  const { t } = useTranslation();
  const { language } = useFormat();
  const { error, run } = useAction();
  const { session } = rating.record;
  const words: ExportWords = {
    id: t("verdicts.id"),
    prompt: t("results.prompt"),
    votes: t("verdicts.votes"),
    majority: t("verdicts.majority"),
    tie: t("verdicts.tie"),
    no_vote: t("verdicts.no_vote"),
    reward: (reward, model) => t("verdicts.reward_of", { reward, model }),
    text: (model) => t("verdicts.text_of", { model }),
    tie_rule: t("verdicts.tie_rule"),
  };
  const exported: ExportedVerdict = {
    title: session.name,
    question: session.question,
    sentence: verdictText(
      figures === null ? planSentence(session.items.length) : verdictSentence(figures.verdict),
      language,
    ),
    table,
    rows,
  };
  const save = async (format: Format): Promise<void> => {
    const name = (ending: string): string => `${safeFileName(session.name)}.${ending}`;
    switch (format) {
      case "md":
        return download(toMarkdown(exported, words), name("md"), "text/markdown");
      case "csv":
        // The mark tells spreadsheets that it is UTF-8.
        return download(`\uFEFF${toCsv(exported, words)}`, name("csv"), "text/csv");
      case "jsonl":
        return download(toJsonl(exported), name("jsonl"), "application/jsonl");
      case "svg":
        return download(toPicture(exported, words).svg, name("svg"), "image/svg+xml");
      case "png":
        return download(await pngOf(toPicture(exported, words)), name("png"));
      case "votes":
        return download(toVotesFile(votesOf(rating), table.models), name("votes.jsonl"), "application/jsonl");
      case "figures":
        return download(`${JSON.stringify(figures, null, 2)}\n`, name("figures.json"), "application/json");
    }
  };
  return (
    <>
      <Menu withinPortal={false} position="bottom-end">
        <Menu.Target>
          <Button variant="default" leftSection={<IconDownload size={16} aria-hidden />}>
            {t("verdicts.export")}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {FORMATS.map((format) => (
            <Menu.Item
              key={format}
              disabled={format === "figures" && figures === null}
              onClick={() => void run(() => save(format))}
            >
              {t(`verdicts.export_${format}`)}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {error !== null && <ErrorPanel error={error} />}
    </>
  );
}
