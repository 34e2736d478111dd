import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fromFloat32, toBfloat16, toFloat32, toHalf } from "./dtype";
import expected from "./fixtures/halves.json";

const digest = (values: ArrayBufferView) =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");

/** All 16-bit patterns. */
const patterns = Uint16Array.from({ length: 65_536 }, (_, i) => i);
const patternBytes = new Uint8Array(patterns.buffer);

/** float32 patterns spread over all exponents, and values around ties; as in fixtures.py. */
const spread = new Uint32Array(200_000);
for (let i = 0; i < spread.length; i++) spread[i] = Number((BigInt(i) * 2_654_435_761n) % 2n ** 32n);
const singles = [
  ...new Float32Array(spread.buffer),
  ...Array.from({ length: 4095 }, (_, i) => (i + 1) * 2 ** -26),
  ...[65_519, 65_520, 65_521],
];

/** With one pattern for every NaN: which one a conversion gives does not matter. */
function singleBits(values: Float32Array): Uint32Array {
  const bits = new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  for (const [i, value] of values.entries()) if (Number.isNaN(value)) bits[i] = 0x7fc0_0000;
  return bits;
}

describe("against numpy and PyTorch, all 65,536 patterns", () => {
  it("F16 to float32", () => expect(digest(singleBits(toFloat32(patternBytes, "F16")))).toBe(expected.f16_to_f32));
  it("BF16 to float32", () => expect(digest(singleBits(toFloat32(patternBytes, "BF16")))).toBe(expected.bf16_to_f32));
});

describe("rounding, on patterns of every exponent and on ties", () => {
  it("float32 to F16", () => {
    const bits = Uint16Array.from(singles, (value) => (Number.isNaN(value) ? 0x7e00 : toHalf(value)));
    expect(digest(bits)).toBe(expected.f32_to_f16);
  });

  it("float32 to BF16", () => {
    const bits = Uint16Array.from(singles, (value) => (Number.isNaN(value) ? 0x7fc0 : toBfloat16(value)));
    expect(digest(bits)).toBe(expected.f32_to_bf16);
  });

  it("NaN stays NaN", () => {
    expect(toHalf(Number.NaN) & 0x7c00).toBe(0x7c00);
    expect(toHalf(Number.NaN) & 0x3ff).not.toBe(0);
    expect(toBfloat16(Number.NaN) & 0x7f).not.toBe(0);
  });

  it.each(["F16", "BF16", "F32"] as const)("every value of %s survives the way there and back", (dtype) => {
    const width = dtype === "F32" ? 4 : 2;
    const values = dtype === "F32" ? Float32Array.of(1.5, -0, 1e-45, 3.4e38) : toFloat32(patternBytes, dtype);
    // An odd place: data in a file need not be aligned.
    const target = new Uint8Array(values.length * width + 3);
    fromFloat32(values, dtype, target, 3);
    expect(digest(singleBits(toFloat32(target.subarray(3), dtype)))).toBe(digest(singleBits(values)));
  });
});
