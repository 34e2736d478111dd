/** The verdict's table as files: Markdown, CSV, JSONL; and the votes as `nagi verdict` reads them. Pure texts. */
import Papa from "papaparse";
import type { Vote } from "../protocol/rating";
import { votesOfPair } from "./pairs";
import type { VerdictRow, VerdictTable } from "./rows";
import { A, B } from "./tally";

/** Words of an export, in the reader's language. */
export interface ExportWords {
  readonly id: string;
  readonly prompt: string;
  readonly votes: string;
  readonly majority: string;
  readonly tie: string;
  readonly no_vote: string;
  /** "{model} の報酬", say. */
  readonly reward: (reward: string, model: string) => string;
  readonly text: (model: string) => string;
  /** How a draw is counted; stands below the table. */
  readonly tie_rule: string;
}

export interface ExportedVerdict {
  readonly title: string;
  readonly question: string;
  readonly sentence: string;
  readonly table: VerdictTable;
  readonly rows: readonly VerdictRow[];
}

/** "2 : 3", with the ties in brackets where there are some. */
export const votesText = ({ counts: [a, b, tie] }: Pick<VerdictRow, "counts">): string =>
  tie === 0 ? `${a} : ${b}` : `${a} : ${b} (${tie})`;

export function majorityText(row: VerdictRow, models: readonly [string, string], words: ExportWords): string {
  if (row.majority === null) return words.no_vote;
  return row.majority === A || row.majority === B ? models[row.majority] : words.tie;
}

const rewardText = (value: number | null | undefined): string => (value == null ? "" : String(round(value)));
const round = (value: number): number => Number(value.toPrecision(4));

function header({ table: { models, rewards } }: ExportedVerdict, words: ExportWords): string[] {
  const [a, b] = models;
  return [
    words.id,
    words.prompt,
    words.text(a),
    words.text(b),
    `${words.votes} (${a} : ${b})`,
    words.majority,
    ...rewards.flatMap((reward) => [words.reward(reward, a), words.reward(reward, b)]),
  ];
}

function cells(row: VerdictRow, { table: { models, rewards } }: ExportedVerdict, words: ExportWords): string[] {
  return [
    row.item,
    row.prompt,
    row.text_a,
    row.text_b,
    votesText(row),
    majorityText(row, models, words),
    ...rewards.flatMap((reward) => (row.rewards[reward] ?? [null, null]).map(rewardText)),
  ];
}

export function toMarkdown(exported: ExportedVerdict, words: ExportWords): string {
  const plain = (text: string): string =>
    text
      .replace(/[\\`*_{}[\]<>|#]/g, "\\$&")
      .replace(/\r?\n/g, "<br>")
      .trim();
  const line = (parts: readonly string[]): string => `| ${parts.map(plain).join(" | ")} |`;
  const heads = header(exported, words);
  const rule = `|${heads.map(() => " --- |").join("")}`;
  const body = exported.rows.map((row) => line(cells(row, exported, words)));
  return [
    `# ${plain(exported.title)}`,
    "",
    plain(exported.question),
    "",
    `**${plain(exported.sentence)}**`,
    "",
    line(heads),
    rule,
    ...body,
    "",
    plain(words.tie_rule),
    "",
  ].join("\n");
}

/** Quoted where needed; a cell that a spreadsheet would take for a formula is a text. */
export function toCsv(exported: ExportedVerdict, words: ExportWords): string {
  const data = exported.rows.map((row) => cells(row, exported, words));
  return `${Papa.unparse({ fields: header(exported, words), data }, { newline: "\n", escapeFormulae: /^[=@\t\r]/ })}\n`;
}

/** One object an item, with every vote. */
export function toJsonl({ table: { models }, rows }: ExportedVerdict): string {
  const [a, b] = models;
  return rows
    .map((row) => {
      const line = {
        item: row.item,
        prompt: row.prompt,
        texts: { [a]: row.text_a, [b]: row.text_b },
        votes: { [a]: row.counts[0], [b]: row.counts[1], tie: row.counts[2], both_bad: row.both_bad },
        skipped: row.skipped,
        majority:
          row.majority === null ? null : row.majority === A || row.majority === B ? models[row.majority] : "tie",
        rewards: Object.fromEntries(
          Object.entries(row.rewards).map(([name, [ofA, ofB]]) => [name, { [a]: ofA, [b]: ofB }]),
        ),
        ballots: row.votes,
      };
      return `${JSON.stringify(line)}\n`;
    })
    .join("");
}

/** A votes file of one pair of models: what `nagi verdict` takes. */
export const toVotesFile = (votes: readonly Vote[], pair: readonly [string, string]): string =>
  votesOfPair(votes, ...pair)
    .map(({ rater, item, left, right, choice, ms }) => `${JSON.stringify({ rater, item, left, right, choice, ms })}\n`)
    .join("");
