/**
 * Character n-gram TF-IDF, equal to scikit-learn's TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2,
 * sublinear_tf=True): texts as sparse rows of length one.
 */

/** Rows of sparse numbers: row r is columns[starts[r] .. starts[r + 1]) with the values beside them. */
export interface SparseRows {
  readonly rows: number;
  readonly columns: number;
  readonly starts: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float64Array;
}

const LONGEST = 3;

/** Code units that Python's regular expressions call white space. */
const SPACES: ReadonlySet<number> = new Set([
  ...[9, 10, 11, 12, 13, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680],
  ...[0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
]);

/** Two or more white-space characters in a row become one space; a single one stays what it is. */
function collapseSpaces(text: string): string {
  let result = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    let end = at;
    while (end < text.length && SPACES.has(text.charCodeAt(end))) end++;
    if (end - at < 2) continue;
    result += `${text.slice(copied, at)} `;
    copied = end;
    at = end;
  }
  return result + text.slice(copied);
}

/** All n-grams of 1 to 3 characters (code points), with repetitions. */
function* ngrams(text: string): Generator<string> {
  const clean = collapseSpaces(text.toLowerCase());
  const offsets: number[] = [];
  for (let at = 0; at < clean.length; at += (clean.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) offsets.push(at);
  offsets.push(clean.length);
  const characters = offsets.length - 1;
  for (let length = 1; length <= LONGEST; length++) {
    for (let i = 0; i + length <= characters; i++) yield clean.slice(offsets[i], offsets[i + length]);
  }
}

/** Arrays that grow, without the memory of boxed numbers. */
class Growing {
  private data = new Int32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.data.length) {
      const larger = new Int32Array(2 * this.data.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }

  view(): Int32Array {
    return this.data.subarray(0, this.length);
  }
}

export class NgramVectorizer {
  private constructor(
    /** Column of each known n-gram. */
    private readonly columns: ReadonlyMap<string, number>,
    private readonly idf: Float64Array,
  ) {}

  get features(): number {
    return this.columns.size;
  }

  /** Learns the n-grams that occur in at least `minimum` of the texts, and how rare each one is. */
  static fit(texts: readonly string[], minimum = 2): NgramVectorizer {
    const ids = new Map<string, number>();
    const documents = new Growing();
    const lastSeen = new Growing();
    for (const [number, text] of texts.entries()) {
      for (const gram of ngrams(text)) {
        const id = ids.get(gram);
        if (id === undefined) {
          ids.set(gram, documents.length);
          documents.push(1);
          lastSeen.push(number);
        } else if (lastSeen.view()[id] !== number) {
          lastSeen.view()[id] = number;
          documents.view()[id] = (documents.view()[id] ?? 0) + 1;
        }
      }
    }
    const columns = new Map<string, number>();
    const idf: number[] = [];
    for (const [gram, id] of ids) {
      const count = documents.view()[id] ?? 0;
      if (count < minimum) continue;
      columns.set(gram, columns.size);
      idf.push(Math.log((1 + texts.length) / (1 + count)) + 1);
    }
    return new NgramVectorizer(columns, Float64Array.from(idf));
  }

  /** Each text as a row: (1 + log count) x idf, scaled to length 1 (an unknown text: no entries). */
  transform(texts: readonly string[]): SparseRows {
    const starts = new Int32Array(texts.length + 1);
    const indices = new Growing();
    const counts = new Growing();
    const places = new Map<number, number>();
    for (const [row, text] of texts.entries()) {
      places.clear();
      for (const gram of ngrams(text)) {
        const column = this.columns.get(gram);
        if (column === undefined) continue;
        const place = places.get(column);
        if (place === undefined) {
          places.set(column, indices.length);
          indices.push(column);
          counts.push(1);
        } else counts.view()[place] = (counts.view()[place] ?? 0) + 1;
      }
      starts[row + 1] = indices.length;
    }
    const values = Float64Array.from(counts.view(), (count, i) => {
      return (1 + Math.log(count)) * (this.idf[indices.view()[i] ?? 0] ?? 0);
    });
    for (let row = 0; row < texts.length; row++) {
      const entries = values.subarray(starts[row], starts[row + 1]);
      const length = Math.sqrt(entries.reduce((sum, value) => sum + value * value, 0));
      for (let i = 0; i < entries.length; i++) entries[i] = (entries[i] ?? 0) / length;
    }
    return { rows: texts.length, columns: this.features, starts, indices: indices.view().slice(), values };
  }

  /** The weight of one n-gram in a transformed text, for tests. */
  columnOf(gram: string): number | undefined {
    return this.columns.get(gram);
  }
}
