/** A sentence in, its reward out. */
import { Button, Group, Stack, Table, Text, Textarea } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { stageOf } from "../../shared/protocol/run";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { useRecord } from "./use-run";

interface Scored {
  readonly id: number;
  readonly text: string;
  readonly reward: number;
  readonly probability: number;
  readonly tokens: number;
  readonly truncated: boolean;
}

const EXAMPLES = ["example_1", "example_2", "example_3"] as const;

export function TryTab({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const score = useRuns((state) => state.score);
  const saved = useRecord(runId, (record) => record.checkpoint_step) ?? null;
  const stage = useRecord(runId, stageOf);
  const objective = stage?.stage === "reward" ? stage.objective : null;
  const [text, setText] = useState("");
  const [results, setResults] = useState<readonly Scored[]>([]);
  const { busy, error, run } = useAction();
  const ready = saved !== null && text.trim() !== "";
  const submit = () => {
    if (!ready || busy) return;
    void run(async () => {
      const [scored] = await score(runId, [text]);
      if (scored !== undefined) setResults((before) => [{ id: before.length, text, ...scored }, ...before]);
    });
  };
  const newest = results[0];
  return (
    <Section title={t("try.title")} help={saved === null ? t("try.unavailable") : t("try.help")}>
      <Stack gap="md">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <Textarea
            label={t("try.label")}
            placeholder={t("try.placeholder")}
            autosize
            minRows={3}
            maxRows={10}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              // Enter while an input method converts kana belongs to the input method.
              if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !event.nativeEvent.isComposing) {
                event.preventDefault();
                submit();
              }
            }}
          />
          <Group gap="xs" mt="sm">
            <Button type="submit" disabled={!ready} loading={busy}>
              {t("try.submit")}
            </Button>
            <Text size="sm" c="dimmed" ml="sm">
              {t("try.examples")}
            </Text>
            {EXAMPLES.map((example, i) => (
              <Button key={example} variant="light" size="compact-sm" onClick={() => setText(t(`try.${example}`))}>
                {i + 1}
              </Button>
            ))}
          </Group>
        </form>
        {error !== null && <ErrorPanel error={error} />}
        <div aria-live="polite">
          {newest !== undefined && (
            <div className="ng-score">
              <div>
                <span className="ng-score-label">{t("try.reward")}</span>
                <output className="ng-score-value">{formatValue(newest.reward, 3)}</output>
              </div>
              <div className="ng-score-bar">
                <span className="ng-score-label">
                  {t("try.probability")} <b className="ng-numeric">{formatPercent(newest.probability)}</b>
                </span>
                <div className="ng-balance" aria-hidden>
                  <span style={{ width: `${newest.probability * 100}%`, background: "var(--ng-positive)" }} />
                  <span style={{ flex: 1, background: "var(--ng-negative)" }} />
                </div>
                <Text size="xs" c="dimmed" mt={4}>
                  {t("try.tokens", { count: newest.tokens })}
                  {newest.truncated && ` · ${t("try.truncated")}`}
                </Text>
              </div>
            </div>
          )}
        </div>
        {objective === "pairwise" && (
          <Text size="xs" c="dimmed">
            {t("try.pairwise_note")}
          </Text>
        )}
        {results.length > 0 && (
          <Table className="ng-numeric" aria-label={t("try.history")}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col" w={90}>
                  {t("try.reward")}
                </Table.Th>
                <Table.Th scope="col" w={110}>
                  {t("try.probability")}
                </Table.Th>
                <Table.Th scope="col">{t("try.history")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {results.map((result) => (
                <Table.Tr key={result.id}>
                  <Table.Td>{formatValue(result.reward, 3)}</Table.Td>
                  <Table.Td>{formatPercent(result.probability)}</Table.Td>
                  <Table.Td className="ng-sentence" lang={format.language === "ja" ? undefined : "ja"}>
                    {result.text}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Stack>
    </Section>
  );
}
