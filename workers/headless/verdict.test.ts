import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, describe, expect, it, vi } from "vitest";
import cases from "../../src/shared/stats/fixtures/ratings.json";
import { readVerdict, verdictCommand } from "./verdict";

const folder = mkdtempSync(join(tmpdir(), "nagi-votes-"));
let files = 0;
function fileOf(content: string | Uint8Array): string {
  const path = join(folder, `${files++}.jsonl`);
  writeFileSync(path, content);
  return path;
}
const lines = (votes: readonly object[]) => votes.map((vote) => `${JSON.stringify(vote)}\n`).join("");
const first = cases.verdicts[0];
if (!first) throw new Error("no fixture");

afterEach(() => void vi.restoreAllMocks());

/** Runs the command; what it printed on stdout and said on stderr. */
async function command(...args: string[]): Promise<{ code: number; out: string; said: string[] }> {
  let out = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const said: string[] = [];
  const code = await verdictCommand(args, (line) => void said.push(line));
  return { code, out, said };
}

describe("nagi verdict", () => {
  it("prints one JSON object and says the sentence beside it", async () => {
    const { code, out, said } = await command(fileOf(lines(first.votes)));
    expect(code).toBe(0);
    expect(out.endsWith("}\n")).toBe(true);
    const found: unknown = JSON.parse(out);
    expect(found).toMatchObject({ items: 20, votes: 84, wins: first.verdict.wins, models: ["ppo", "sft"] });
    expect(Object.keys(found ?? {})).toEqual(Object.keys(first.verdict));
    expect(said.join("\n")).toMatch(/skipped[\s\S]*“sft” won: people preferred it on 11 of 13/);
  });

  it("says how often repeats agree", async () => {
    const repeated = first.votes.filter(({ choice }) => choice !== "skip").slice(0, 4);
    const { notes, verdict } = await readVerdict(fileOf(lines([...first.votes, ...repeated])));
    expect(notes.join("\n")).toContain("4 repeats (a rater's later votes on an item) are not counted; 4 say the same");
    expect(verdict.votes).toBe(84);
  });

  it("reads a byte order mark, and characters cut between two pieces", async () => {
    const vote = { rater: "花", item: 1, left: "凪", right: "海", choice: "left", ms: 1 };
    const text = `\uFEFF${lines([vote])}${" ".repeat(1 << 20)}\n${lines(Array(8000).fill({ ...vote, item: "項目" }))}`;
    const { verdict } = await readVerdict(fileOf(text));
    expect(verdict).toMatchObject({ items: 2, votes: 2, models: ["凪", "海"].sort() });
  });

  it("reads a hundred thousand votes", async () => {
    const votes = Array.from({ length: 100_000 }, (_, at) => ({
      rater: at % 5,
      item: Math.floor(at / 5),
      left: at % 2 ? "a" : "b",
      right: at % 2 ? "b" : "a",
      choice: at % 3 ? "left" : "right",
      ms: 1,
    }));
    const { verdict } = await readVerdict(fileOf(lines(votes)));
    expect(verdict).toMatchObject({ items: 20_000, votes: 100_000 });
    expect(verdict.left_rate).toBeCloseTo(2 / 3, 4);
  });

  it.each<[string, string | Uint8Array, object]>([
    ["a broken line", `${lines(first.votes)}{"rater":`, { code: "votes.bad_line" }],
    ["no votes", "\n\n", { code: "votes.empty" }],
    ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0x82, 0xa0, 0x0a), { code: "data.unreadable" }],
  ])("refuses %s", async (_, content, wanted) => {
    const path = fileOf(content);
    await expect(readVerdict(path)).rejects.toMatchObject(wanted);
    await expect(readVerdict(path)).rejects.toThrow(path);
  });

  it("refuses a file that is not there, a folder, and other numbers of files", async () => {
    await expect(readVerdict(join(folder, "none"))).rejects.toMatchObject({ code: "data.unreadable" });
    await expect(readVerdict(folder)).rejects.toMatchObject({ code: "data.unreadable" });
    for (const args of [[], ["a", "b"]]) {
      const { code, out, said } = await command(...args);
      expect([code, out]).toEqual([2, ""]);
      expect(said.join()).toContain("nagi verdict VOTES.jsonl");
    }
  });
});
