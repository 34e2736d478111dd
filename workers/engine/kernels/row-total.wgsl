// Sum over the lanes of a row.
fn row_total(value: SUM, lane: u32) -> SUM {
  if (LANES == 1u) {
    return value;
  }
  return total64(value, lane);
}
