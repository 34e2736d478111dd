/** What the model writes as it learns: the same prompts at every evaluation, side by side with the first time. */
import { Button, Group, Slider, Stack, Text } from "@mantine/core";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { WrittenText } from "../../shared/protocol/events";
import type { RunDetail } from "../../stores/run-detail";
import { useRuns } from "../../stores/runs";
import { formatValue } from "../common/format";
import { Section } from "../common/Page";
import { useFormat } from "../common/use-format";

const NONE: RunDetail["texts"] = [];
/** Texts of a step that are shown at once. */
const SHOWN = 6;

export function TextsTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const sets = useRuns((state) => state.details[runId]?.texts ?? NONE);
  /** null follows the newest. */
  const [chosen, setChosen] = useState<number | null>(null);
  const [limit, setLimit] = useState(SHOWN);
  const label = useId();
  const last = sets.length - 1;
  const index = Math.min(chosen ?? last, last);
  const shown = sets[index];
  const first = sets[0];
  if (shown === undefined || first === undefined)
    return (
      <Section title={t("texts.title")}>
        <Text c="dimmed">{t("texts.waiting")}</Text>
      </Section>
    );
  const step = (place: number) => t("texts.at", { step: format.count(sets[place]?.step ?? 0) });
  return (
    <Section
      title={t("texts.title")}
      help={t("texts.help")}
      actions={
        last > 0 && (
          <Button component={Link} to={`/ratings/new?run=${runId}`} variant="light" size="sm">
            {t("texts.rate")}
          </Button>
        )
      }
    >
      <Stack gap="md">
        {last > 0 && (
          <Group gap="md" wrap="nowrap">
            <Text size="sm" id={label} className="ng-nowrap">
              {t("texts.step")}
            </Text>
            <Slider
              flex={1}
              maw={520}
              min={0}
              max={last}
              step={1}
              value={index}
              onChange={(value) => setChosen(value === last ? null : value)}
              label={step}
              thumbProps={{ "aria-labelledby": label, "aria-valuetext": step(index) }}
            />
            <Text size="sm" fw={600} className="ng-numeric ng-nowrap" role="status">
              {step(index)}
              {index === last && ` · ${t("texts.newest")}`}
            </Text>
          </Group>
        )}
        <ol className="ng-texts">
          {shown.texts.slice(0, limit).map((text, place) => (
            <li key={text.prompt}>
              {index > 0 && first.texts[place] !== undefined && (
                <Written text={first.texts[place]} title={step(0)} before />
              )}
              <Written text={text} title={step(index)} />
            </li>
          ))}
        </ol>
        {shown.texts.length > limit && (
          <Button variant="default" w="fit-content" onClick={() => setLimit(shown.texts.length)}>
            {t("results.more", { count: shown.texts.length - limit })}
          </Button>
        )}
      </Stack>
    </Section>
  );
}

interface WrittenProps {
  readonly text: WrittenText;
  readonly title: string;
  readonly before?: boolean;
}

function Written({ text, title, before = false }: WrittenProps) {
  const { t } = useTranslation();
  return (
    <div className="ng-text" data-before={before || undefined}>
      <div className="ng-text-head">
        <span>{title}</span>
        {text.reward !== null && (
          <span className="ng-numeric">
            {t("texts.reward")} <b>{formatValue(text.reward, 3)}</b>
          </span>
        )}
        <span className="ng-numeric">{t("texts.tokens", { count: text.tokens })}</span>
        {!text.finished && <span>{t("texts.cut_off")}</span>}
      </div>
      <p lang="ja" className="ng-sentence">
        <mark>{text.prompt}</mark>
        {text.text}
      </p>
    </div>
  );
}
