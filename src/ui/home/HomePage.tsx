/** The first ten seconds: what this is, and one button that starts a real run. */
import { Anchor, Button, Group, Paper, SimpleGrid, Text, Title } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { DEFAULT_RUN, TEMPLATES } from "../../shared/protocol/defaults";
import { type RunRecord, stageOf } from "../../shared/protocol/run";
import { useDatasets } from "../../stores/datasets";
import { useEnvironment } from "../../stores/environment";
import { useModels } from "../../stores/models";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { adapterName } from "../common/adapter";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatParameters, formatPercent } from "../common/format";
import { Section } from "../common/Page";
import { StateBadge } from "../common/StateBadge";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import "./home.css";

const RECENT = 5;

export function HomePage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const start = useRuns((state) => state.start);
  const webgpu = useEnvironment((state) => state.webgpu);
  const { create, run: runPipeline } = usePipelines.getState();
  const { busy, error, run } = useAction();
  const tutorial = useAction();
  const unable = webgpu !== "available" && webgpu !== "unknown";
  useEffect(() => {
    document.title = t("app.title");
  }, [t]);
  return (
    <div className="ng-page ng-home">
      <section className="ng-hero" aria-labelledby="home-title">
        <Title order={1} id="home-title" className="ng-hero-title">
          {t("home.title")}
        </Title>
        <Text className="ng-hero-lead">{t("home.lead")}</Text>
        <Group gap="sm" mt="lg">
          <Button
            size="lg"
            leftSection={<IconPlayerPlay size={18} aria-hidden />}
            loading={tutorial.busy}
            disabled={unable}
            onClick={() =>
              void tutorial.run(async () => {
                const { pipeline_id } = await create(TEMPLATES["positive-reviews"], { reuse: false });
                await runPipeline(pipeline_id);
                await navigate(`/pipelines/${pipeline_id}`);
              })
            }
          >
            {t("home.pipeline")}
          </Button>
          <Button
            size="lg"
            variant="default"
            loading={busy}
            disabled={unable}
            onClick={() =>
              void run(async () => {
                const record = await start(DEFAULT_RUN);
                await navigate(`/runs/${record.run_id}`);
              })
            }
          >
            {t("home.primary")}
          </Button>
          <Button size="lg" px="md" variant="subtle" component={Link} to="/pipelines">
            {t("home.secondary")}
          </Button>
        </Group>
        <Text size="sm" c="dimmed" mt="sm">
          {t("home.pipeline_note")}
        </Text>
        {error !== null && <ErrorPanel error={error} />}
        {tutorial.error !== null && <ErrorPanel error={tutorial.error} />}
        <CalmingWaves />
      </section>
      <FactStrip />
      <RecentRuns />
      <Section title={t("home.how_title")}>
        <SimpleGrid component="ol" className="ng-how" cols={{ base: 1, sm: 3 }} spacing="lg">
          {([1, 2, 3] as const).map((step) => (
            <li key={step}>
              <Text fw={600}>
                <span className="ng-how-number">{step}</span>
                {t(`home.how_${step}_title`)}
              </Text>
              <Text size="sm" c="dimmed">
                {t(`home.how_${step}`)}
              </Text>
            </li>
          ))}
        </SimpleGrid>
      </Section>
    </div>
  );
}

function FactStrip() {
  const { t } = useTranslation();
  const format = useFormat();
  const adapter = useEnvironment((state) => state.adapter);
  const summariseModel = useModels((state) => state.summarise);
  const summariseData = useDatasets((state) => state.summarise);
  const modelReference = DEFAULT_RUN.model.model_name_or_path;
  const dataReference = DEFAULT_RUN.data.train;
  const model = useModels((state) => state.summaries[modelReference]);
  const data = useDatasets((state) => state.summaries[dataReference]);
  useEffect(() => {
    void summariseModel(modelReference);
    void summariseData(dataReference);
  }, [summariseModel, summariseData, modelReference, dataReference]);
  const facts = [
    {
      label: t("home.fact_model"),
      value:
        model?.status === "ready"
          ? t("common.parameters_count", { count: formatParameters(model.value.parameters) })
          : "nagi-base",
      note: t("home.fact_model_note"),
    },
    {
      label: t("home.fact_data"),
      value:
        data?.status === "ready" ? t("home.fact_data_value", { rows: format.count(data.value.rows) }) : "reviews-ja",
      note: t("home.fact_data_note"),
    },
    {
      label: t("home.fact_device"),
      value: adapter === null ? t("home.fact_device_note") : adapterName(adapter),
      note: adapter === null ? t("home.fact_device_none") : t("home.fact_device_note"),
    },
  ];
  return (
    <SimpleGrid component="dl" cols={{ base: 1, sm: 3 }} spacing="md" m={0}>
      {facts.map((fact) => (
        <Paper key={fact.label} className="ng-section ng-fact">
          <dt>{fact.label}</dt>
          <dd>
            <b>{fact.value}</b>
            <span>{fact.note}</span>
          </dd>
        </Paper>
      ))}
    </SimpleGrid>
  );
}

function RecentRuns() {
  const { t } = useTranslation();
  const runs = useRuns((state) => state.runs);
  const loaded = useRuns((state) => state.loaded);
  const loadError = useRuns((state) => state.loadError);
  return (
    <Section
      title={t("home.recent")}
      actions={
        runs.length > RECENT && (
          <Anchor component={Link} to="/runs" size="sm">
            {t("home.recent_all")}
          </Anchor>
        )
      }
    >
      {loadError !== null && <ErrorPanel error={loadError} />}
      {loaded && runs.length === 0 && loadError === null && (
        <Text size="sm" c="dimmed">
          {t("home.recent_empty")}
        </Text>
      )}
      <ul className="ng-recent">
        {runs.slice(0, RECENT).map((run) => (
          <RecentRun key={run.run_id} run={run} />
        ))}
      </ul>
    </Section>
  );
}

function RecentRun({ run }: { readonly run: RunRecord }) {
  const { t } = useTranslation();
  const format = useFormat();
  const accuracy = run.metrics.test_accuracy ?? run.metrics.eval_accuracy;
  return (
    <li>
      <Link to={`/runs/${run.run_id}`} className="ng-recent-link">
        <span>
          <b>{run.config.name}</b> <small>{t(`stages.${stageOf(run).stage}`)}</small>
        </span>
        <StateBadge state={run.state} />
        <span className="ng-numeric">
          {t("run.step_of", {
            step: format.count(run.step),
            total: run.total_steps > 0 ? format.count(run.total_steps) : "–",
          })}
        </span>
        <span className="ng-numeric">
          {accuracy === undefined ? "" : `${t("result.accuracy")} ${formatPercent(accuracy)}`}
        </span>
        <span className="ng-recent-time">{format.time(run.created)}</span>
      </Link>
    </li>
  );
}

/** A swell that dies down to a calm line: 凪, and what a loss does in a good run. */
function CalmingWaves() {
  const line = (height: number, phase: number) => {
    const points = Array.from({ length: 161 }, (_, i) => {
      const x = (i / 160) * 800;
      const calm = Math.exp(-x / 240);
      return `${x.toFixed(1)},${(70 - height * calm * Math.sin(x / 26 + phase)).toFixed(1)}`;
    });
    return `M${points.join("L")}`;
  };
  return (
    <svg className="ng-waves" viewBox="0 0 800 140" preserveAspectRatio="none" aria-hidden>
      <path d={line(58, 0)} />
      <path d={line(40, 0.7)} />
      <path d={line(24, 1.4)} />
    </svg>
  );
}
