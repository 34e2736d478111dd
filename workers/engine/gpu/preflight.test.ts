import { expect, test } from "vitest";
import { preflight } from "./preflight";

const limits = { maxBufferSize: 1000, maxStorageBufferBindingSize: 100 };

test("says nothing when everything fits exactly", () => {
  expect(preflight([{ what: "weights", bytes: 1000, bindingBytes: 100 }], limits, { availableBytes: 1000 })).toEqual(
    [],
  );
});

test("names each buffer, binding and the total that is too large, worst first", () => {
  const needs = [
    { what: "weights", bytes: 1001, bindingBytes: 100 },
    { what: "activations", bytes: 300 },
  ];
  const options = { availableBytes: 1300, growsWithBatch: (need: { what: string }) => need.what === "activations" };
  expect(preflight(needs, limits, options)).toEqual([
    { what: "activations", kind: "binding", needed: 300, granted: 100, advice: ["smaller_batch", "other_adapter"] },
    { what: "weights", kind: "buffer", needed: 1001, granted: 1000, advice: ["smaller_model", "other_adapter"] },
    { what: "total", kind: "total", needed: 1301, granted: 1300, advice: ["smaller_batch", "smaller_model"] },
  ]);
});

test("a size that is not a number is a problem, not a pass", () => {
  expect(preflight([{ what: "broken", bytes: NaN }], limits).length).toBeGreaterThan(0);
});
