/** Both catalogues, typed by the Japanese one: a key that is not in ja.json does not compile. */
import i18next, { type i18n } from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./en.json";
import ja from "./ja.json";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof ja };
    returnNull: false;
  }
}

export async function createI18n(language: "ja" | "en"): Promise<i18n> {
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: "en",
    resources: { ja: { translation: ja }, en: { translation: en } },
    // React escapes what it renders.
    interpolation: { escapeValue: false },
  });
  return i18next;
}
