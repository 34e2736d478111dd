/** Settings in IndexedDB. A browser that forbids IndexedDB (private windows) keeps them for the visit only. */
import { get, set } from "idb-keyval";
import { DEFAULT_SETTINGS, restoreSettings, type Settings } from "./restore";

const KEY = "nagi/settings";

export async function loadSettings(): Promise<Settings> {
  try {
    return restoreSettings(await get(KEY));
  } catch {
    return DEFAULT_SETTINGS;
  }
}

/** @returns whether they were kept */
export async function saveSettings(settings: Settings): Promise<boolean> {
  try {
    await set(KEY, settings);
    return true;
  } catch {
    return false;
  }
}
