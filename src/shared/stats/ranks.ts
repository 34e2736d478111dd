/** Ranks from 1, equal values sharing their mean rank. Null if a value is NaN: it has no place in an order. */
export function midRanks(values: ArrayLike<number>): Float64Array | null {
  const count = values.length;
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    if (Number.isNaN(values[i])) return null;
    order[i] = i;
  }
  const at = (position: number): number => values[order[position] ?? 0] ?? 0;
  // Not a subtraction: infinity minus infinity is no order.
  order.sort((a, b) => {
    const [first, second] = [values[a] ?? 0, values[b] ?? 0];
    return first < second ? -1 : first > second ? 1 : 0;
  });
  const ranks = new Float64Array(count);
  for (let start = 0; start < count; ) {
    let end = start + 1;
    while (end < count && at(end) === at(start)) end++;
    for (let position = start; position < end; position++) ranks[order[position] ?? 0] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}
