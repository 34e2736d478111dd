import { describe, expect, it } from "vitest";
import { playwrightCounts, pytestCounts, settle, total, vitestCounts } from "./reports.mjs";

describe("reports", () => {
  it("reads vitest's", () => {
    const report = {
      numPassedTests: 7,
      numFailedTests: 1,
      numPendingTests: 2,
      numTodoTests: 1,
      testResults: [
        { status: "passed", assertionResults: [{ status: "passed" }] },
        { status: "failed", assertionResults: [{ status: "failed" }] },
        { status: "failed", assertionResults: [] },
      ],
    };
    expect(vitestCounts(report)).toEqual({ passed: 7, failed: 5 });
  });
  it("reads Playwright's", () => {
    const report = { stats: { expected: 3, unexpected: 1, flaky: 1, skipped: 1 }, errors: [{}] };
    expect(playwrightCounts(report)).toEqual({ passed: 3, failed: 4 });
  });
  it("reads pytest's", () => {
    const xml =
      '<testsuites name="x"><testsuite name="pytest" errors="1" failures="2" skipped="1" tests="10" time="1"></testsuite></testsuites>';
    expect(pytestCounts(xml)).toEqual({ passed: 6, failed: 4 });
  });
  it("lets neither silence nor a crash pass", () => {
    expect(settle({ passed: 0, failed: 0 }, 0)).toEqual({ passed: 0, failed: 1 });
    expect(settle({ passed: 5, failed: 0 }, 1)).toEqual({ passed: 5, failed: 1 });
    expect(settle({ passed: 5, failed: 0 }, 0)).toEqual({ passed: 5, failed: 0 });
    expect(settle({ passed: 5, failed: 2 }, 1)).toEqual({ passed: 5, failed: 2 });
    expect(total([settle({ passed: 0, failed: 0 }, 0), { passed: 2, failed: 1 }])).toEqual({ passed: 2, failed: 2 });
  });
});
