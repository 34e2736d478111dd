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

/** Rows of counted columns, built one after another. */
class Counts {
  readonly starts = new Growing();
  readonly columns = new Growing();
  readonly counts = new Growing();
  private readonly places = new Map<number, number>();

  constructor() {
    this.starts.push(0);
  }

  /** Adds the next row: `columnOf` gives an n-gram's column, or undefined for one that does not count. */
  addRow(text: string, columnOf: (gram: string) => number | undefined): void {
    this.places.clear();
    for (const gram of ngrams(text)) {
      const column = columnOf(gram);
      if (column === undefined) continue;
      const place = this.places.get(column);
      if (place === undefined) {
        this.places.set(column, this.columns.length);
        this.columns.push(column);
        this.counts.push(1);
      } else {
        const counts = this.counts.view();
        counts[place] = (counts[place] ?? 0) + 1;
      }
    }
    this.starts.push(this.columns.length);
  }

  /** (1 + log count) x idf, each row scaled to length 1; a row without entries stays empty. */
  weigh(idf: Float64Array): SparseRows {
    const starts = this.starts.view().slice();
    const indices = this.columns.view().slice();
    const values = Float64Array.from(this.counts.view(), (count, i) => {
      return (1 + Math.log(count)) * (idf[indices[i] ?? 0] ?? 0);
    });
    const rows = starts.length - 1;
    for (let row = 0; row < rows; row++) {
      const entries = values.subarray(starts[row], starts[row + 1]);
      const length = Math.sqrt(entries.reduce((sum, value) => sum + value * value, 0));
      for (let i = 0; i < entries.length; i++) entries[i] = (entries[i] ?? 0) / length;
    }
    return { rows, columns: idf.length, starts, indices, values };
  }
}

export class NgramVectorizer {
  private constructor(
    private readonly columns: ReadonlyMap<string, number>,
    private readonly idf: Float64Array,
  ) {}

  get features(): number {
    return this.columns.size;
  }

  /** The column of an n-gram, undefined if it is not known. */
  columnOf(gram: string): number | undefined {
    return this.columns.get(gram);
  }

  /**
   * Learns the n-grams that occur in at least `minimum` of the texts and how rare each is; gives the texts as rows too.
   * `pause` is awaited now and then, as this may take seconds.
   */
  static async fit(
    texts: readonly string[],
    minimum: number,
    pause: () => Promise<void>,
  ): Promise<{ readonly vectorizer: NgramVectorizer; readonly rows: SparseRows }> {
    const ids = new Map<string, number>();
    const all = new Counts();
    const idOf = (gram: string): number => {
      const id = ids.get(gram) ?? ids.size;
      if (id === ids.size) ids.set(gram, id);
      return id;
    };
    for (const text of texts) {
      all.addRow(text, idOf);
      await pause();
    }
    const documents = new Int32Array(ids.size);
    for (const id of all.columns.view()) documents[id] = (documents[id] ?? 0) + 1;
    const columns = new Map<string, number>();
    const columnOfId = new Int32Array(ids.size).fill(-1);
    const idf: number[] = [];
    for (const [gram, id] of ids) {
      const count = documents[id] ?? 0;
      if (count < minimum) continue;
      columnOfId[id] = columns.size;
      columns.set(gram, columns.size);
      idf.push(Math.log((1 + texts.length) / (1 + count)) + 1);
    }
    const vectorizer = new NgramVectorizer(columns, Float64Array.from(idf));
    return { vectorizer, rows: keepColumns(all, columnOfId).weigh(vectorizer.idf) };
  }

  /** Texts as rows. */
  transform(texts: readonly string[]): SparseRows {
    const counts = new Counts();
    for (const text of texts) counts.addRow(text, (gram) => this.columnOf(gram));
    return counts.weigh(this.idf);
  }
}

/** The same rows with their columns renumbered; those that are -1 are dropped. */
function keepColumns(all: Counts, columnOfId: Int32Array): Counts {
  const kept = new Counts();
  const [starts, ids, counts] = [all.starts.view(), all.columns.view(), all.counts.view()];
  for (let row = 0; row + 1 < starts.length; row++) {
    for (let i = starts[row] ?? 0; i < (starts[row + 1] ?? 0); i++) {
      const column = columnOfId[ids[i] ?? 0] ?? -1;
      if (column < 0) continue;
      kept.columns.push(column);
      kept.counts.push(counts[i] ?? 0);
    }
    kept.starts.push(kept.columns.length);
  }
  return kept;
}
