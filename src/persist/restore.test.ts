import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS, preferredLanguage, restoreSettings, settings } from "./restore";

describe("restoreSettings", () => {
  it("gives the defaults for nothing, for junk and for another type", () => {
    for (const stored of [undefined, null, 7, "x", [], { language: 3, colorScheme: "pink" }]) {
      expect(restoreSettings(stored)).toEqual(DEFAULT_SETTINGS);
    }
  });

  it("keeps the fields that can be read and drops unknown ones", () => {
    const restored = restoreSettings({ version: 99, language: "ja", colorScheme: 1, future: true });
    expect(restored).toEqual({ ...DEFAULT_SETTINGS, language: "ja" });
    expect(settings.parse(restored)).toEqual(restored);
  });

  it("gives back what was stored", () => {
    const stored = { ...DEFAULT_SETTINGS, language: "en" as const, colorScheme: "dark" as const };
    expect(restoreSettings(structuredClone(stored))).toEqual(stored);
  });
});

describe("preferredLanguage", () => {
  it("takes the first language that there is", () => {
    expect(preferredLanguage(["fr-FR", "ja-JP", "en"])).toBe("ja");
    expect(preferredLanguage(["EN-us", "ja"])).toBe("en");
    expect(preferredLanguage(["de"])).toBe("en");
    expect(preferredLanguage([])).toBe("en");
  });
});
