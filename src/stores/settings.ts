/**
 * Settings, kept in IndexedDB.
 *
 * Usage:
 *   await useSettings.getState().load();                          // before the first render, so that nothing flickers
 *   const language = useSettings((s) => s.language);              // "ja" | "en", resolved
 *   useSettings.getState().setLanguage("ja"); useSettings.getState().setColorScheme("dark");
 */
import { create } from "zustand";
import {
  type ColorScheme,
  DEFAULT_SETTINGS,
  type Language,
  preferredLanguage,
  type Settings,
} from "../persist/restore";
import { loadSettings, saveSettings } from "../persist/settings";

export type { ColorScheme, Language } from "../persist/restore";

export interface SettingsState {
  readonly loaded: boolean;
  readonly language: Language;
  readonly colorScheme: ColorScheme;
  load(): Promise<void>;
  setLanguage(language: Language): void;
  setColorScheme(colorScheme: ColorScheme): void;
}

export const useSettings = create<SettingsState>()((set) => {
  let stored: Settings = DEFAULT_SETTINGS;
  const change = (part: Partial<Settings>): void => {
    stored = { ...stored, ...part };
    void saveSettings(stored);
  };
  return {
    loaded: false,
    language: "en",
    colorScheme: DEFAULT_SETTINGS.colorScheme,
    async load() {
      stored = await loadSettings();
      set({
        loaded: true,
        language: stored.language ?? preferredLanguage(navigator.languages),
        colorScheme: stored.colorScheme,
      });
    },
    setLanguage(language) {
      set({ language });
      change({ language });
    },
    setColorScheme(colorScheme) {
      set({ colorScheme });
      change({ colorScheme });
    },
  };
});
