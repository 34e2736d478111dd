/** Notes of a run that the catalogues put into words; others are shown as they are. */
import ja from "../../i18n/ja.json";

export type NoteCode = keyof typeof ja.notes;

export function isNoteCode(code: string): code is NoteCode {
  return Object.hasOwn(ja.notes, code);
}
