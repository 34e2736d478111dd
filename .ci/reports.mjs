/** Reads how many tests passed and failed from the runners' own reports. A skipped test counts as failed: nothing here skips. */

/** @typedef {{ passed: number, failed: number }} Counts */

const sum = (...numbers) => numbers.reduce((total, value) => total + (Number(value) || 0), 0);

/** Vitest's JSON report. A file that could not be loaded has no tests of its own and counts as one failure. @returns {Counts} */
export function vitestCounts(report) {
  const broken = (report.testResults ?? []).filter(
    (file) => file.status === "failed" && !(file.assertionResults ?? []).some((test) => test.status === "failed"),
  ).length;
  return {
    passed: sum(report.numPassedTests),
    failed: sum(report.numFailedTests, report.numPendingTests, report.numTodoTests, broken),
  };
}

/** Playwright's JSON report. A flaky test failed once and counts as failed. @returns {Counts} */
export function playwrightCounts(report) {
  const { expected, unexpected, flaky, skipped } = report.stats ?? {};
  return { passed: sum(expected), failed: sum(unexpected, flaky, skipped, report.errors?.length) };
}

/** pytest's JUnit XML. @returns {Counts} */
export function pytestCounts(xml) {
  const counts = { passed: 0, failed: 0 };
  for (const [, attributes] of xml.matchAll(/<testsuite\b([^>]*)>/g)) {
    const value = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
    const failed = value("failures") + value("errors") + value("skipped");
    counts.failed += failed;
    counts.passed += Math.max(0, value("tests") - failed);
  }
  return counts;
}

/** What the parts add up to, and whether all of it is green: a part without a single test is not. */
export function total(parts) {
  return {
    passed: sum(...parts.map((part) => part.passed)),
    failed: sum(...parts.map((part) => part.failed)),
  };
}

/** A part's counts given its exit code: a runner that failed without naming a test, or that ran none, is one failure. */
export function settle(counts, code) {
  if (counts.failed === 0 && (code !== 0 || counts.passed === 0)) return { ...counts, failed: 1 };
  return counts;
}
