/**
 * The verdict as a picture: sentence, and a row an item with both texts, votes as a bar, majority and rewards. An SVG that
 * needs nothing from outside; its colours are fixed, because it is looked at elsewhere.
 */
import { type ExportedVerdict, type ExportWords, majorityText, votesText } from "./export";
import type { VerdictRow } from "./rows";

const WIDTH = 1200;
const MARGIN = 36;
const LINE = 22;
const SIZE = 15;
const GAP = 18;
/** Items of a picture; more would not be read. */
export const PICTURE_ITEMS = 30;
const COLORS = { a: "#1d6f8c", b: "#b4572f", tie: "#b4c1c8", text: "#17232a", quiet: "#52626b", line: "#dde4e8" };
const FONT =
  "'Hiragino Sans','Hiragino Kaku Gothic ProN','Noto Sans JP','Noto Sans CJK JP','Yu Gothic UI',Meiryo,system-ui,sans-serif";

const COLUMNS = { id: 56, text: 400, votes: 150 } as const;
const LEFT = { id: MARGIN, a: MARGIN + COLUMNS.id, b: MARGIN + COLUMNS.id + COLUMNS.text + GAP } as const;
const LEFT_VOTES = LEFT.b + COLUMNS.text + GAP;

const escapeXml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
    .replace(/[^\t\n\r\u0020-\uFFFD\u{10000}-\u{10FFFF}]/gu, "");

/** Width in ems: what East Asian fonts draw in a full square is one, the rest about half. */
const ems = (sign: string): number => (/[\u0020-\u00ff\uff61-\uffdc]/.test(sign) ? 0.56 : 1);

/** Breaks a text into lines of `width` pixels; Japanese breaks anywhere but before closing marks, words at spaces. */
export function wrap(text: string, width: number, size = SIZE): string[] {
  const room = width / size;
  const lines: string[] = [];
  for (const paragraph of text.split(/\r?\n/)) {
    let current = "";
    let used = 0;
    for (const part of paragraph.match(/[\u0021-\u007e]+\s*|[^\u0021-\u007e]/gu) ?? []) {
      const wide = [...part].reduce((sum, sign) => sum + ems(sign), 0);
      const hangs = /^[、。,.!?!?」』)】〉》ー・…]/.test(part);
      if (used + wide > room && current !== "" && !hangs) {
        lines.push(current);
        current = "";
        used = 0;
      }
      for (const sign of wide > room ? [...part] : [part]) {
        const own = wide > room ? ems(sign) : wide;
        if (used + own > room && wide > room) {
          lines.push(current);
          current = "";
          used = 0;
        }
        current += sign;
        used += own;
      }
    }
    lines.push(current);
  }
  return lines;
}

interface Drawn {
  readonly svg: string;
  readonly height: number;
}

interface TextStyle {
  readonly size?: number;
  readonly weight?: number;
  readonly color?: string;
}

function textAt(x: number, y: number, lines: readonly string[], style: TextStyle = {}): string {
  const { size = SIZE, weight = 400, color = COLORS.text } = style;
  return lines
    .map(
      (line, at) =>
        `<text x="${x}" y="${y + at * LINE * (size / SIZE)}" font-size="${size}" font-weight="${weight}" fill="${color}">${escapeXml(line)}</text>`,
    )
    .join("");
}

/** @returns the SVG document, its size in pixels, and whether items were left out */
export function toPicture(
  exported: ExportedVerdict,
  words: ExportWords,
): { svg: string; width: number; height: number; cut: boolean } {
  const [a, b] = exported.table.models;
  const shown = exported.rows.slice(0, PICTURE_ITEMS);
  const parts: string[] = [];
  let y = MARGIN + 26;
  const put = (lines: readonly string[], style: TextStyle & { readonly after: number }): void => {
    parts.push(textAt(MARGIN, y, lines, style));
    y += lines.length * LINE * ((style.size ?? SIZE) / SIZE) + style.after;
  };
  const full = WIDTH - 2 * MARGIN;
  put(wrap(exported.title, full, 24), { size: 24, weight: 650, after: 4 });
  put(wrap(exported.question, full), { color: COLORS.quiet, after: 14 });
  put(wrap(exported.sentence, full, 18), { size: 18, weight: 600, after: 16 });
  parts.push(
    textAt(LEFT.a, y, [a], { weight: 650, color: COLORS.a }),
    textAt(LEFT.b, y, [b], { weight: 650, color: COLORS.b }),
    textAt(LEFT_VOTES, y, [words.votes], { weight: 650, color: COLORS.quiet }),
  );
  y += 12;
  for (const row of shown) {
    const { svg, height } = drawRow(row, y, exported, words);
    parts.push(svg);
    y += height;
  }
  y += 26;
  put(wrap(words.tie_rule, full, 13), { size: 13, color: COLORS.quiet, after: 0 });
  const height = Math.ceil(y + MARGIN - 12);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="${FONT}"><rect width="${WIDTH}" height="${height}" fill="#ffffff"/>${parts.join("")}</svg>`;
  return { svg, width: WIDTH, height, cut: exported.rows.length > shown.length };
}

function drawRow(
  row: VerdictRow,
  top: number,
  { table: { models, rewards } }: ExportedVerdict,
  words: ExportWords,
): Drawn {
  const [left, right] = [wrap(row.prompt + row.text_a, COLUMNS.text), wrap(row.prompt + row.text_b, COLUMNS.text)];
  const figures = rewards.map((name) => {
    const [ofA = null, ofB = null] = row.rewards[name] ?? [];
    const text = (value: number | null): string => (value === null ? "–" : value.toFixed(2));
    return `${name} ${text(ofA)} / ${text(ofB)}`;
  });
  const lines = Math.max(left.length, right.length, 3 + figures.length);
  const height = lines * LINE + 18;
  const base = top + 26;
  const total = row.counts[0] + row.counts[1] + row.counts[2];
  const width = (count: number): number => (total === 0 ? 0 : (count / total) * COLUMNS.votes);
  const [a, b, tie] = row.counts;
  const bar = [
    [0, width(a), COLORS.a],
    [width(a), width(tie), COLORS.tie],
    [width(a) + width(tie), width(b), COLORS.b],
  ] as const;
  const svg = [
    `<line x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="${top}" y2="${top}" stroke="${COLORS.line}"/>`,
    textAt(LEFT.id, base, [row.item.length > 5 ? `${row.item.slice(0, 4)}…` : row.item], { color: COLORS.quiet }),
    textAt(LEFT.a, base, left),
    textAt(LEFT.b, base, right),
    textAt(LEFT_VOTES, base, [votesText(row)], { weight: 600 }),
    ...bar.map(([x, wide, color]) =>
      wide === 0 ? "" : `<rect x="${LEFT_VOTES + x}" y="${base + 8}" width="${wide}" height="8" fill="${color}"/>`,
    ),
    textAt(LEFT_VOTES, base + LINE + 16, [wrap(majorityText(row, models, words), COLUMNS.votes, 13)[0] ?? ""], {
      size: 13,
    }),
    textAt(LEFT_VOTES, base + 2 * LINE + 16, figures, { size: 12, color: COLORS.quiet }),
  ].join("");
  return { svg, height };
}
