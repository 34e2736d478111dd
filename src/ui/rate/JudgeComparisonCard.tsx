/** The old and the new reward model on votes that neither was trained on. */
import { Button, Group, Select, Stack, Text } from "@mantine/core";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { decidedPairs, type JudgeComparison } from "../../shared/ratings/reward-comparison";
import { useArtefacts } from "../../stores/artefacts";
import { judge } from "../../stores/rating-pairs";
import { type Rating, votesOf } from "../../stores/ratings";
import { ErrorPanel } from "../common/ErrorPanel";
import { Facts, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { pText } from "./p-text";
import { shareText } from "./VerdictTab";

export function JudgeComparisonCard({ rating }: { readonly rating: Rating }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { session, made, rewards } = rating.record;
  const artefacts = useArtefacts((state) => state.artefacts);
  const judges = artefacts.filter(({ kind }) => kind === "reward_model");
  const [before, setBefore] = useState<string | null>(rewards[0]?.source ?? null);
  const [after, setAfter] = useState<string | null>(null);
  const [result, setResult] = useState<JudgeComparison | null>(null);
  const { busy, error, run } = useAction();
  const held = made.at(-1)?.held_out;
  const pairs = useMemo(
    () => (held === undefined ? [] : decidedPairs(session, votesOf(rating), held)),
    [session, rating, held],
  );
  const options = judges.map(({ id, name, created }) => ({ value: id, label: `${name} · ${format.time(created)}` }));
  const known = (id: string | null): string | null => (judges.some((one) => one.id === id) ? id : null);
  const [old, fresh] = [known(before), known(after)];
  const compare = () =>
    run(async () => {
      setResult(null);
      if (old !== null && fresh !== null) setResult(await judge(old, fresh, pairs));
    });
  const choose = (set: (id: string | null) => void) => (id: string | null) => {
    set(id);
    setResult(null);
  };
  return (
    <Section title={t("loop.compare")} help={t("loop.compare_help")}>
      {held === undefined ? (
        <Text size="sm">{t("loop.compare_first")}</Text>
      ) : judges.length < 2 ? (
        <Text size="sm">{t("loop.compare_two")}</Text>
      ) : pairs.length === 0 ? (
        <Text size="sm">{t("loop.compare_no_pairs")}</Text>
      ) : (
        <Stack gap="md">
          <Group gap="md" align="flex-end">
            <Select label={t("loop.before")} w={300} data={options} value={old} onChange={choose(setBefore)} />
            <Select label={t("loop.after")} w={300} data={options} value={fresh} onChange={choose(setAfter)} />
            <Button
              loading={busy}
              disabled={old === null || fresh === null || old === fresh}
              onClick={() => void compare()}
            >
              {t("loop.compare_run", { count: pairs.length })}
            </Button>
          </Group>
          {error !== null && <ErrorPanel error={error} />}
          {result !== null && <Result result={result} />}
        </Stack>
      )}
    </Section>
  );
}

function Result({ result }: { readonly result: JudgeComparison }) {
  const { t } = useTranslation();
  const { before, after, only_before, only_after, p } = result;
  const verdict =
    p !== null && p < 0.05 ? (only_after > only_before ? "loop.after_better" : "loop.before_better") : "loop.unclear";
  return (
    <Stack gap="sm">
      <Text fw={600} role="status">
        {t(verdict)}
      </Text>
      <Facts
        facts={[
          { label: t("loop.before"), value: shareText(before.share, before.exact95) },
          { label: t("loop.after"), value: shareText(after.share, after.exact95) },
          { label: t("loop.only"), value: t("loop.only_counts", { before: only_before, after: only_after }) },
          { label: t("loop.mcnemar"), value: pText(p) },
        ]}
      />
    </Stack>
  );
}
