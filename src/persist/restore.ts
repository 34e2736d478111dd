/**
 * The only upgrade path of what is kept in IndexedDB. Whatever was stored by whatever version goes in, today's shape
 * comes out; what cannot be read falls back to its default, one field at a time.
 */
import { z } from "zod";

export const SETTINGS_VERSION = 1;

export const language = z.enum(["ja", "en"]);
export const colorScheme = z.enum(["auto", "light", "dark"]);

export const settings = z.strictObject({
  version: z.literal(SETTINGS_VERSION),
  /** null: follow the browser. */
  language: language.nullable(),
  colorScheme,
});

export type Language = z.infer<typeof language>;
export type ColorScheme = z.infer<typeof colorScheme>;
export type Settings = z.infer<typeof settings>;

export const DEFAULT_SETTINGS: Settings = { version: SETTINGS_VERSION, language: null, colorScheme: "auto" };

export function restoreSettings(stored: unknown): Settings {
  const fields = z.record(z.string(), z.unknown()).safeParse(stored);
  if (!fields.success) return DEFAULT_SETTINGS;
  const parsedLanguage = settings.shape.language.safeParse(fields.data.language);
  const parsedScheme = colorScheme.safeParse(fields.data.colorScheme);
  return {
    version: SETTINGS_VERSION,
    language: parsedLanguage.success ? parsedLanguage.data : DEFAULT_SETTINGS.language,
    colorScheme: parsedScheme.success ? parsedScheme.data : DEFAULT_SETTINGS.colorScheme,
  };
}

/** The language to show where none was chosen. */
export function preferredLanguage(browserLanguages: readonly string[]): Language {
  for (const tag of browserLanguages) {
    if (tag.toLowerCase().startsWith("ja")) return "ja";
    if (tag.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}
