/**
 * The verdict in one sentence of plain words, in both languages: who won, how sure, and if that is not sure, how many more
 * items would decide. Also the warning before anyone has voted. Here and not in the page's catalogues, because the command
 * line says the same.
 */
import { signTest } from "../stats/binomial";
import { itemsFor80Power, signTestPower } from "../stats/power";
import type { Verdict } from "./verdict";

export type SentenceKey =
  /** Below 5 %: the winner. */
  | "won"
  /** Ahead, but chance could have done it. */
  | "ahead"
  /** As many items each. */
  | "even"
  /** Every item a tie. */
  | "all_ties"
  /** Before the votes: fewer than six items can never be significant. */
  | "plan_hopeless"
  /** Before the votes: power below 80 %. */
  | "plan_weak"
  | "plan_enough";

export interface Sentence {
  readonly key: SentenceKey;
  readonly values: Readonly<Record<string, string | number>>;
}

type Language = "ja" | "en";

/** `{name}` is a number or a name, `{name%}` a share, `{name~}` a p-value. */
export const SENTENCES: Readonly<Record<Language, Readonly<Record<SentenceKey, string>>>> = {
  ja: {
    won: "「{winner}」の勝ちです。勝敗のついた {decided} 件のうち {wins} 件({share%})で選ばれました(引き分け {ties} 件)。本当は差がないのに偶然これだけ偏る確率は {p~} です。",
    ahead:
      "「{winner}」が {decided} 件中 {wins} 件({share%})で優勢ですが(引き分け {ties} 件)、勝ちとはまだ言えません。差がなくても {p~} の確率でこれくらい偏ります。本当に {share%} なら、あと約 {more} 件(引き分けの分を含む)を評価すれば、8 割の確率で決着がつきます。",
    even: "「{a}」と「{b}」は {wins} 件ずつで並んでいます(引き分け {ties} 件)。差があるとは言えません。差があるとしても、この結果からは、あと何件で決着がつくかは見積もれません。",
    all_ties:
      "{items} 件すべてが引き分けで、「{a}」と「{b}」のどちらが良いとも言えません。違いの出やすい書き出しや、評価者を増やすことを考えてください。",
    plan_hopeless:
      "{items} 件では何も決まりません。{items} 件すべてで同じ側が選ばれても、偶然で起きる確率が {p~} あります。本当に {share%} の人が良いと思うモデルを見分けるには、勝敗のつく評価が {needed} 件必要です。",
    plan_weak:
      "{items} 件では足りないかもしれません。本当に {share%} の差があっても、それを見分けられる確率は {power%} です。8 割にするには、勝敗のつく評価が {needed} 件必要です。",
    plan_enough: "{items} 件あれば、本当に {share%} の差があるとき、{power%} の確率で見分けられます。",
  },
  en: {
    won: "“{winner}” won: people preferred it on {wins} of {decided} decided items ({share%}; {ties} ties). If there were no difference, chance alone would go this far in {p~} of such comparisons.",
    ahead:
      "“{winner}” is ahead on {wins} of {decided} decided items ({share%}; {ties} ties), but that is no win yet: without any difference, chance would go this far in {p~} of such comparisons. If {share%} is the truth, about {more} more items (ties counted in) would decide it with 80 % probability.",
    even: "“{a}” and “{b}” have {wins} items each ({ties} ties): no difference is visible, and from an even result nobody can say how many more items would decide.",
    all_ties:
      "All {items} items are ties: nobody can say that “{a}” or “{b}” is better. Think about prompts that tell them apart, or more raters.",
    plan_hopeless:
      "{items} items can decide nothing: even if all of them go to one side, chance does that in {p~} of such comparisons. To recognise a model that is truly better {share%} of the time takes {needed} decided items.",
    plan_weak:
      "{items} items may be too few: if one model is truly better {share%} of the time, the chance to recognise it is {power%}. For 80 % it takes {needed} decided items.",
    plan_enough:
      "{items} items are enough: if one model is truly better {share%} of the time, the chance to recognise it is {power%}.",
  },
};

/** Significant is p < 0.05 in the sign test over decided items. */
export function verdictSentence(verdict: Verdict): Sentence {
  const { wins, models, items, sign_test_p: p, items_for_80_power: needed } = verdict;
  const [a, b] = models;
  const decided = wins.A + wins.B;
  if (decided === 0 || p === null) return { key: "all_ties", values: { items, a, b } };
  if (wins.A === wins.B) return { key: "even", values: { a, b, wins: wins.A, ties: wins.tie } };
  const [winner, won] = wins.B > wins.A ? [b, wins.B] : [a, wins.A];
  const values = { winner, wins: won, decided, ties: wins.tie, share: won / decided, p };
  if (p < 0.05) return { key: "won", values };
  // Ties will come as often as they did.
  const more = Math.max(1, Math.ceil(((needed ?? decided) - decided) * (items / decided)));
  return { key: "ahead", values: { ...values, more } };
}

/** What `items` decided items can show if one model is truly better in `share` of them (above one half). */
export function planSentence(items: number, share = 0.6): Sentence {
  const needed = itemsFor80Power(share) ?? Number.POSITIVE_INFINITY;
  const power = signTestPower(items, share);
  // All items on one side is the clearest result there can be.
  const best = signTest(items, items) ?? 1;
  if (!(best < 0.05)) return { key: "plan_hopeless", values: { items, share, needed, p: best } };
  return { key: power < 0.8 ? "plan_weak" : "plan_enough", values: { items, share, needed, power } };
}

/** The sentence in words, its values filled in. */
export function verdictText({ key, values }: Sentence, language: Language): string {
  return SENTENCES[language][key].replace(/\{(\w+)([%~]?)\}/g, (_, name: string, unit: string) => {
    const value = values[name];
    if (typeof value !== "number") return value ?? "–";
    const [scale, sign] = unit === "" ? [1, ""] : [100, language === "ja" ? "%" : " %"];
    if (unit === "") return value.toLocaleString(language === "ja" ? "ja-JP" : "en-GB");
    if (unit === "~" && value < 0.0001) return language === "ja" ? "0.01% 未満" : "less than 0.01 %";
    const percent = value * scale;
    // 50.1 % must not read as half.
    if (unit === "%" && value !== 0.5 && Math.abs(percent - 50) < 1) return `${percent.toFixed(2)}${sign}`;
    return `${unit === "~" && percent < 9.95 ? percent.toPrecision(2) : percent.toFixed(0)}${sign}`;
  });
}
