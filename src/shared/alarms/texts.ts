/**
 * What an alarm says, in both languages: what it saw (with the numbers), why it matters, what to try. Here and not in the
 * page's catalogues, because the report of the command line says the same. `{name}` is a number, `{name%}` a share.
 */
import type { Alarm } from "./check";
import type { AlarmCode } from "./table";

export interface AlarmText {
  readonly title: string;
  readonly saw: string;
  readonly why: string;
  readonly try: string;
}

type Language = "ja" | "en";

export const ALARM_TEXTS: Readonly<Record<Language, Readonly<Record<AlarmCode, AlarmText>>>> = {
  ja: {
    diverged: {
      title: "損失が数でなくなりました",
      saw: "{step} ステップで {metric} が数でなくなりました(発散)。",
      why: "重みが壊れているので、この先を学習しても戻りません。学習は止まり、最後の良いチェックポイントは残っています。",
      try: "学習率を半分以下にする、ウォームアップを長くする、勾配の上限(max_grad_norm)を下げる。",
    },
    kl_negative: {
      title: "KL が負です",
      saw: "KL(k1 推定)の平均が {kl} nat です。目安は {limit} より上。",
      why: "KL は本来 0 以上です。大きく負になるのは、文を作った分布と確率を計算した分布が違うか、めったに出ない語ばかりの確率を下げて罰を稼いでいるときです。",
      try: "文を作るときの temperature と top_k・top_p を、確率の計算と揃える。kl_estimator を k3 にする。学習率を下げる。",
    },
    kl_high: {
      title: "KL が目標を大きく超えています",
      saw: "KL の平均が 1 文あたり {kl} nat で、目標 {target} の 2 倍({limit})を超えています。",
      why: "元のモデルから離れすぎると、報酬モデルが知らない文に入り込み、点数だけが上がって文は壊れていきます。",
      try: "kl_coef を上げる、target_kl を決めて自動で調整させる、学習率か num_ppo_epochs を下げる。",
    },
    ratio_off: {
      title: "確率の比が 1 から離れています",
      saw: "val/ratio の平均が {ratio} です。1 から {tolerance} 以上離れています。",
      why: "PPO は、文を作ったときの方策の近くでだけ正しい方法です。平均がこれだけ動くと、更新のほとんどが切り捨てられます。",
      try: "学習率か num_ppo_epochs を下げる。num_mini_batches を減らす。",
    },
    clipfrac_high: {
      title: "切り捨てられる更新が多すぎます",
      saw: "トークンの {clipfrac%} で比が cliprange の外に出ています(目安は {limit%} まで)。",
      why: "1 回の更新が大きすぎるしるしです。外に出たトークンからは学べず、方策が揺れます。",
      try: "学習率を下げる、num_ppo_epochs を減らす、rollout_batch_size を増やす。",
    },
    value_loss_high: {
      title: "価値の損失が膨らんでいます",
      saw: "価値の損失の平均が {value_loss} です(目安は {limit} まで)。報酬の平均は {reward}。",
      why: "報酬の基準が 0 から離れているか、幅が大きすぎると、価値ヘッドは何も知らないまま大きな値を追いかけ、利得(advantage)は雑音になります。初めての PPO でいちばん多い失敗です。",
      try: "報酬から SFT の文の平均を引き(reward_baseline: auto)、標準偏差で割る(reward_scaling: true)。",
    },
    collapse: {
      title: "報酬は上がり、文は一つに潰れています",
      saw: "distinct-2 が {distinct2_start} から {distinct2} に下がり、報酬は {reward_start} から {reward} に上がりました。",
      why: "どの書き出しにも同じような文を返して点を取っています。報酬モデルの穴を見つけただけで、書けるようにはなっていません。",
      try: "kl_coef を上げる、学習を早めに止める、temperature を 1 に近づける。報酬モデルが同じ文の繰り返しに高い点をつけていないか確かめる。",
    },
    length_reward: {
      title: "報酬が長さと一緒に上がっています",
      saw: "直近の報酬と長さの相関は {correlation}。長さは {length_start} から {length} トークンに、報酬は {reward_start} から {reward} になりました。",
      why: "内容ではなく長さで点を取っているおそれがあります。報酬モデルは長い文を好みがちです。",
      try: "報酬モデルの長さとの相関を確かめ、長さの揃ったデータで学習し直す。response_length を短くする。",
    },
    eos_vanishing: {
      title: "文が終わらなくなっています",
      saw: "途中で切れた文が {share_start%} から {share%} に、EOS で終わった文が {eos_start} から {eos} になりました。",
      why: "終わらない文は途中で採点されます。終わりを書かないほうが得だと学ぶと、後から直りません。",
      try: "missing_eos_penalty を 1 ほどにする。response_length を長くする。SFT のデータの文末に EOS があるか確かめる。",
    },
    reward_majority: {
      title: "報酬モデルが多数派と変わりません",
      saw: "正解率は {accuracy%}、どの文にも同じ答えを返すだけで {majority%} です。",
      why: "何も見分けていない報酬で PPO を行うと、でたらめな方向に学習します。",
      try: "エポック数か学習率を上げる、データを増やす、より大きいモデルを使う。ラベルが正しいか確かめる。",
    },
    reward_length: {
      title: "報酬がほぼ長さで決まっています",
      saw: "評価データで、報酬と長さの相関が {correlation} です。",
      why: "長さだけで順位が決まる報酬は、PPO で文を長く(または短く)するだけに終わります。",
      try: "肯定と否定で長さの揃ったデータを使う。max_length で後ろを切られた文が偏っていないか確かめる。",
    },
  },
  en: {
    diverged: {
      title: "The loss stopped being a number",
      saw: "{metric} was not a number at step {step} (divergence).",
      why: "The weights are broken and do not recover by training on. Training stopped; the last good checkpoint is kept.",
      try: "Halve the learning rate or less, warm up for longer, lower max_grad_norm.",
    },
    kl_negative: {
      title: "KL is negative",
      saw: "The mean KL (k1 estimate) is {kl} nats; it should stay above {limit}.",
      why: "A KL divergence is never below 0. A clearly negative estimate means that texts are drawn from another distribution than the one whose probabilities are computed, or that the policy earns the penalty by making rare tokens rarer.",
      try: "Sample with the same temperature, top_k and top_p as the probabilities are computed with. Set kl_estimator to k3. Lower the learning rate.",
    },
    kl_high: {
      title: "KL is far above its target",
      saw: "The mean KL is {kl} nats a text, above twice the target of {target} ({limit}).",
      why: "Too far from the first model the policy writes texts that the reward model has never seen: scores go up while the texts fall apart.",
      try: "Raise kl_coef, set target_kl to have it adapted, lower the learning rate or num_ppo_epochs.",
    },
    ratio_off: {
      title: "The ratio of probabilities is far from 1",
      saw: "The mean of val/ratio is {ratio}, more than {tolerance} away from 1.",
      why: "PPO only holds close to the policy that wrote the texts. With a mean this far off most of the update is clipped away.",
      try: "Lower the learning rate or num_ppo_epochs. Use fewer num_mini_batches.",
    },
    clipfrac_high: {
      title: "Too much of the update is clipped",
      saw: "The ratio of {clipfrac%} of the tokens is outside cliprange (up to {limit%} is common).",
      why: "A sign that single updates are too large. Nothing is learned from the tokens outside, and the policy swings.",
      try: "Lower the learning rate, use fewer num_ppo_epochs, raise rollout_batch_size.",
    },
    value_loss_high: {
      title: "The value loss is exploding",
      saw: "The mean value loss is {value_loss} (up to {limit} is common). The mean reward is {reward}.",
      why: "Rewards far from 0, or of a large range, send the value head after large numbers it knows nothing about, and advantages become noise. It is the most common mistake of a first PPO run.",
      try: "Subtract the mean reward of SFT texts (reward_baseline: auto) and divide by the standard deviation (reward_scaling: true).",
    },
    collapse: {
      title: "The reward rises while texts collapse into one",
      saw: "distinct-2 fell from {distinct2_start} to {distinct2} while the reward rose from {reward_start} to {reward}.",
      why: "The policy answers every prompt with much the same text. It has found a hole in the reward model, it has not learned to write.",
      try: "Raise kl_coef, stop earlier, bring temperature towards 1. See whether the reward model likes repeated texts.",
    },
    length_reward: {
      title: "The reward rises with length",
      saw: "Reward and length correlate with {correlation} lately. Length went from {length_start} to {length} tokens, the reward from {reward_start} to {reward}.",
      why: "Points may come from length rather than from content: reward models tend to like long texts.",
      try: "Look at the reward model's correlation with length and train it on texts of equal lengths. Lower response_length.",
    },
    eos_vanishing: {
      title: "Texts no longer end",
      saw: "Texts cut off went from {share_start%} to {share%}, texts that end with EOS from {eos_start} to {eos}.",
      why: "A text that does not end is scored in the middle. Once the policy has learned that not ending pays, it stays that way.",
      try: "Set missing_eos_penalty to about 1. Raise response_length. See that the SFT texts end with EOS.",
    },
    reward_majority: {
      title: "The reward model is no better than the majority class",
      saw: "Its accuracy is {accuracy%}; the same answer to every text gives {majority%}.",
      why: "PPO on a reward that tells nothing apart learns in an arbitrary direction.",
      try: "Raise the epochs or the learning rate, use more data or a larger model. Check the labels.",
    },
    reward_length: {
      title: "The reward is mostly length",
      saw: "Reward and length correlate with {correlation} on the evaluation data.",
      why: "A reward that ranks by length makes PPO write longer (or shorter) texts, and nothing else.",
      try: "Use data whose positive and negative texts are equally long. See whether texts cut at max_length are mostly of one label.",
    },
  },
};

/** The alarm in words, its numbers filled in. */
export function alarmText(alarm: Pick<Alarm, "code" | "values">, language: Language): AlarmText {
  const text = ALARM_TEXTS[language][alarm.code];
  const fill = (part: string): string =>
    part.replace(/\{(\w+)(%?)\}/g, (_, name: string, percent: string) => written(alarm.values[name], percent !== ""));
  return { title: fill(text.title), saw: fill(text.saw), why: fill(text.why), try: fill(text.try) };
}

function written(value: number | string | undefined, percent: boolean): string {
  if (typeof value === "string") return value;
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (percent) return `${(value * 100).toFixed(1)}%`;
  const size = Math.abs(value);
  if (Number.isInteger(value)) return String(value);
  return size >= 1e5
    ? value.toExponential(1)
    : size >= 100
      ? value.toFixed(0)
      : size >= 10
        ? value.toFixed(1)
        : value.toFixed(2);
}
