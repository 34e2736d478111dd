import { parse } from "papaparse";
import { describe, expect, it } from "vitest";
import { type ExportedVerdict, type ExportWords, toCsv, toJsonl, toMarkdown, toVotesFile, votesText } from "./export";
import { PICTURE_ITEMS, toPicture, wrap } from "./picture";
import { countVotes } from "./read-votes";
import { verdictTable } from "./rows";
import { prefers, scriptedSession, scriptedVotes } from "./scripted-session";
import { tallyVotes } from "./tally";
import { verdictOf } from "./verdict";

const WORDS: ExportWords = {
  id: "ID",
  prompt: "書き出し",
  votes: "票",
  majority: "多数決",
  tie: "引き分け",
  no_vote: "票なし",
  reward: (reward, model) => `${reward} ${model}`,
  text: (model) => `文 ${model}`,
  tie_rule: "並んだら引き分け。",
};
const PAIR = ["sft-secret", "ppo-secret"] as const;

function exported(count: number, text?: string): ExportedVerdict & { votes: ReturnType<typeof scriptedVotes> } {
  const base = scriptedSession({ count });
  const session =
    text === undefined
      ? base
      : { ...base, items: base.items.map((item) => ({ ...item, texts: item.texts.map((one) => ({ ...one, text })) })) };
  const votes = scriptedVotes(session, { 花子: prefers("ppo-secret"), 太郎: prefers("sft-secret") });
  const table = verdictTable(session, votes, PAIR);
  return { title: "夜の評価", question: "どちら?", sentence: "まだ言えません。", table, rows: table.rows, votes };
}

describe("exports", () => {
  it("Markdown has one line an item, the sentence and the tie rule, whatever the texts hold", () => {
    const lines = toMarkdown(exported(4, "縦|棒\n改行 *強調* <b>"), WORDS).split("\n");
    const rows = lines.filter((line) => line.startsWith("| "));
    // Heads, the rule below them, four items.
    expect(rows).toHaveLength(6);
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(9);
    expect(lines.join("\n")).toContain("**まだ言えません。**");
    expect(lines.join("\n")).toContain("並んだら引き分け。");
  });

  it("CSV comes back as it went, and no cell is a formula", () => {
    const text = '=1+1,"引用"\n改行';
    const made = exported(3, text);
    const { data, errors } = parse<string[]>(toCsv(made, WORDS).trimEnd());
    expect(errors).toEqual([]);
    expect(data).toHaveLength(4);
    expect(data[0]).toEqual([
      "ID",
      "書き出し",
      "文 ppo-secret",
      "文 sft-secret",
      "票 (ppo-secret : sft-secret)",
      "多数決",
      "judge ppo-secret",
      "judge sft-secret",
    ]);
    expect(data[1]?.[2]).toBe(`'${text}`);
    expect(data[1]?.[4]).toBe(votesText(made.rows[0] ?? { counts: [9, 9, 9] }));
  });

  it("JSONL has every item with its votes", () => {
    const made = exported(5);
    const lines = toJsonl(made)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ item }) => item)).toEqual(["1", "2", "3", "4", "5"]);
    expect(lines[0].texts["ppo-secret"]).toBe(made.rows[0]?.text_a);
    expect(lines.every(({ ballots }) => ballots.length === 2)).toBe(true);
  });

  it("the votes file is what the command line reads, with the same verdict", async () => {
    const { votes } = exported(12);
    const tally = await countVotes([toVotesFile(votes, PAIR)], "votes.jsonl");
    expect(verdictOf(tally)).toEqual(verdictOf(tallyVotes(votes)));
  });
});

describe("picture", () => {
  it("is well-formed XML without anything from outside, cut where it says so", () => {
    const { svg, width, height, cut } = toPicture(exported(PICTURE_ITEMS + 2, "<script>&\u0001"), WORDS);
    expect(cut).toBe(true);
    expect(width).toBe(1200);
    expect(height).toBeGreaterThan(PICTURE_ITEMS * 40);
    expect(svg).not.toMatch(/<script|href|url\(/);
    expect(svg).not.toContain("\u0001");
    expect(svg.match(/<text /g)?.length).toBeGreaterThan(PICTURE_ITEMS * 4);
    const opened = [...svg.matchAll(/<(\w+)[^>]*?(\/?)>/g)].filter(([, , closed]) => closed === "").length;
    expect(svg.match(/<\/\w+>/g)).toHaveLength(opened);
    expect(toPicture(exported(2), WORDS).cut).toBe(false);
  });

  it("wraps Japanese anywhere but before closing marks, and words at spaces", () => {
    expect(wrap("あいうえおかきくけこ", 75, 15)).toEqual(["あいうえお", "かきくけこ"]);
    expect(wrap("あいうえお。かき", 75, 15)).toEqual(["あいうえお。", "かき"]);
    expect(wrap("one two three", 75, 15)).toEqual(["one two ", "three"]);
    expect(wrap("一\n二", 75, 15)).toEqual(["一", "二"]);
    expect(wrap("", 75, 15)).toEqual([""]);
    expect(wrap("a".repeat(40), 75, 15).join("")).toBe("a".repeat(40));
  });
});
