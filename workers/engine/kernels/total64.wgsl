// Sum of `value` over the 64 lanes of a workgroup in a fixed order; every lane gets it and must call it. SUM: the type of
// what is added up. Two levels: fewer barriers than a tree.
var<workgroup> lane_sums: array<SUM, 64>;
var<workgroup> eighths: array<SUM, 8>;

fn total64(value: SUM, lane: u32) -> SUM {
  lane_sums[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var sum = SUM();
    for (var i = 0u; i < 8u; i++) {
      sum += lane_sums[8u * lane + i];
    }
    eighths[lane] = sum;
  }
  workgroupBarrier();
  var sum = SUM();
  for (var i = 0u; i < 8u; i++) {
    sum += eighths[i];
  }
  return sum;
}
