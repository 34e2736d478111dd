/** What a stage needs of this machine before it is started: whether it fits, of what it is made, and what would fit. */
import { Anchor, Button, Group, Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { PREFLIGHT_PARTS } from "../../shared/protocol/preflight";
import type { PreflightOffer, PreflightProblem, StagePreflight } from "../../stores/preflight";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatBytes, formatParameters } from "../common/format";
import { type Fact, Facts } from "../common/Page";
import { useFormat } from "../common/use-format";
import { PartsBar } from "./PartsBar";
import type { PreflightState } from "./use-preflight";
import "./preflight.css";

export interface PreflightViewProps {
  readonly state: PreflightState;
  /** Puts the changes into the form. */
  readonly onApply?: (changes: PreflightOffer["changes"]) => void;
}

export function PreflightView({ state, onApply }: PreflightViewProps) {
  const { t } = useTranslation();
  const { result, error, busy } = state;
  return (
    <section className="ng-preflight" aria-label={t("preflight.title")} aria-busy={busy}>
      <Text size="sm" c="dimmed">
        {t("preflight.title")}
      </Text>
      {error !== null && <ErrorPanel error={error} />}
      {result === null && error === null && <Text size="sm">{t(busy ? "preflight.asking" : "preflight.not_yet")}</Text>}
      {result !== null && <Result result={result} onApply={onApply} />}
    </section>
  );
}

interface ResultProps {
  readonly result: StagePreflight;
  readonly onApply: PreflightViewProps["onApply"];
}

function Result({ result, onApply }: ResultProps) {
  const { t } = useTranslation();
  const { fits, total_bytes, memory, problems, offers } = result;
  const tone = fits ? (problems.length === 0 ? "good" : "warn") : "bad";
  const verdict = { good: "fits", warn: "fits_perhaps", bad: "does_not_fit" } as const;
  return (
    <Stack gap="sm">
      <div role="status">
        <span className="ng-state" style={{ color: `var(--ng-${tone})` }}>
          <span className="ng-dot" />
          {t(`preflight.${verdict[tone]}`)}
        </span>
        <Text fw={600} size="lg" className="ng-numeric">
          {memory === null
            ? t("preflight.total", { total: formatBytes(total_bytes) })
            : t("preflight.total_of", { total: formatBytes(total_bytes), memory: formatBytes(memory.bytes) })}
        </Text>
      </div>
      <PartsBar parts={result.parts} total={Math.max(total_bytes, memory?.bytes ?? 0)} />
      {problems.map((problem) => (
        <ProblemText key={`${problem.kind} ${problem.what}`} problem={problem} />
      ))}
      {offers.length > 0 && <Offers offers={offers} onApply={onApply} />}
      {result.step !== null && (
        <div>
          <Text size="sm" c="dimmed">
            {t("preflight.step")}
          </Text>
          <Text size="sm" component="div">
            <StepTime step={result.step} />
          </Text>
        </div>
      )}
      <details className="ng-more">
        <summary>{t("preflight.more")}</summary>
        <FactList result={result} />
        <Text size="sm" c="dimmed" mt="sm">
          {t("preflight.buffers", { count: result.buffers.length })}
        </Text>
        <Buffers result={result} />
      </details>
    </Stack>
  );
}

function ProblemText({ problem }: { readonly problem: PreflightProblem }) {
  const { t } = useTranslation();
  const { kind, what, needed, granted, refuses } = problem;
  return (
    <div className="ng-notice" data-tone={refuses ? "bad" : "warn"}>
      {t(`preflight.problem.${kind}`, { what, needed: formatBytes(needed), granted: formatBytes(granted) })}
    </div>
  );
}

/** One click each: with it the stage fits, as computed. */
function Offers({ offers, onApply }: { readonly offers: readonly PreflightOffer[] } & Pick<ResultProps, "onApply">) {
  const { t } = useTranslation();
  return (
    <div>
      <Text size="sm" fw={600}>
        {t("preflight.offers")}
      </Text>
      <ul className="ng-preflight-offers">
        {offers.map(({ code, changes, total_bytes }) => (
          <li key={code}>
            <Text size="sm">
              {t(`preflight.offer.${code}`)}
              <span className="ng-preflight-change ng-numeric">{changeText(changes)}</span>
            </Text>
            <Group gap="xs" wrap="nowrap">
              <Text size="sm" className="ng-numeric ng-nowrap">
                {formatBytes(total_bytes)}
              </Text>
              {onApply !== undefined && (
                <Button
                  size="compact-sm"
                  variant="light"
                  aria-label={t("preflight.apply_label", { change: t(`preflight.offer.${code}`) })}
                  onClick={() => onApply(changes)}
                >
                  {t("preflight.apply")}
                </Button>
              )}
            </Group>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The settings that change, by the names they have in the file: "max_length 64". */
function changeText(changes: PreflightOffer["changes"]): string {
  return Object.entries(changes)
    .map(([name, value]) => {
      if (typeof value !== "object") return `${name} ${value}`;
      return "r" in value ? `${name} r=${value.r}` : `max_new_tokens ${value.max_new_tokens}`;
    })
    .join(", ");
}

function FactList({ result }: { readonly result: StagePreflight }) {
  const { t } = useTranslation();
  const { largest_binding, limits, checkpoint, output_bytes, storage_free, model_bytes } = result;
  const limit = formatBytes(limits.maxStorageBufferBindingSize);
  const facts: Fact[] = [
    {
      label: t("preflight.binding"),
      value: t("preflight.of", { part: formatBytes(largest_binding.bytes), whole: limit }),
    },
    {
      label: t("preflight.trained"),
      value: t("preflight.of", {
        part: formatParameters(result.trainable_parameters),
        whole: formatParameters(result.parameters),
      }),
    },
    { label: t("preflight.model"), value: formatBytes(model_bytes) },
    ...(checkpoint === null
      ? []
      : [
          {
            label: t("preflight.checkpoint"),
            value: t("preflight.checkpoint_kept", { bytes: formatBytes(checkpoint.bytes), count: checkpoint.kept }),
          },
        ]),
    { label: t("preflight.output"), value: formatBytes(output_bytes) },
    ...(storage_free === null ? [] : [{ label: t("preflight.free"), value: formatBytes(storage_free) }]),
  ];
  return <Facts facts={facts} />;
}

function StepTime({ step }: { readonly step: NonNullable<StagePreflight["step"]> }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { milliseconds, measured_at, flops } = step;
  const work = t("preflight.work", { flops: formatFlops(flops) });
  if (milliseconds === null || measured_at === null)
    return (
      <>
        {t("preflight.not_measured")}{" "}
        <Anchor component={Link} to="/settings/benchmark" size="sm" underline="always">
          {t("preflight.measure")}
        </Anchor>
        <Text size="xs" c="dimmed">
          {work}
        </Text>
      </>
    );
  return (
    <>
      {t("preflight.at_most", { time: formatStep(milliseconds) })}
      <Text size="xs" c="dimmed">
        {t("preflight.measured", { time: format.time(measured_at) })} · {work}
      </Text>
    </>
  );
}

/** Two digits are all that an estimate is good for. */
function formatStep(milliseconds: number): string {
  const [value, unit] = milliseconds < 1000 ? [milliseconds, "ms"] : [milliseconds / 1000, "s"];
  return `${Number(value.toPrecision(2))} ${unit}`;
}

function formatFlops(flops: number): string {
  const tera = flops >= 1e12;
  return `${Number((flops / (tera ? 1e12 : 1e9)).toPrecision(3))} ${tera ? "TFLOP" : "GFLOP"}`;
}

function Buffers({ result }: { readonly result: StagePreflight }) {
  const { t } = useTranslation();
  const sorted = [...result.buffers].sort(
    (a, b) => PREFLIGHT_PARTS.indexOf(a.part) - PREFLIGHT_PARTS.indexOf(b.part) || b.bytes - a.bytes,
  );
  return (
    <Table.ScrollContainer
      minWidth={240}
      maxHeight={300}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "group", "aria-label": t("preflight.table") } }}
    >
      <Table verticalSpacing={3} fz="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">{t("preflight.buffer")}</Table.Th>
            <Table.Th scope="col">{t("preflight.part")}</Table.Th>
            <Table.Th scope="col" ta="right">
              {t("preflight.bytes")}
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {sorted.map(({ label, part, bytes }) => (
            <Table.Tr key={label}>
              <Table.Td>{label}</Table.Td>
              <Table.Td>{t(`preflight.parts.${part}`)}</Table.Td>
              <Table.Td ta="right" className="ng-numeric ng-nowrap">
                {formatBytes(bytes)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
