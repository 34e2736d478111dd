import { describe, expect, it } from "vitest";
import { readNumber, writeNumber } from "./numbers";

describe("readNumber", () => {
  it("reads full-width digits, separators and exponents", () => {
    expect(readNumber("５ｅ－４")).toBe(5e-4);
    expect(readNumber("1,024")).toBe(1024);
    expect(readNumber(" .5 ")).toBe(0.5);
    expect(readNumber("1e400")).toBeNull();
    expect(readNumber("0x10")).toBeNull();
    expect(readNumber("Infinity")).toBeNull();
  });
});

describe("writeNumber", () => {
  it("writes what readNumber reads back", () => {
    for (const value of [0, 1, -1, 0.05, 5e-4, 1e-8, 4_294_967_295]) expect(readNumber(writeNumber(value))).toBe(value);
  });
});
