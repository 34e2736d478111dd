/** Where a stage of a stored pipeline runs, and another place for it while nothing is running. */
import { Anchor, Button, Group, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconServer } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { StageConfig } from "../../shared/protocol/config";
import { type StagePlace, workerOf } from "../../shared/protocol/launch";
import type { PipelineRecord } from "../../shared/protocol/pipeline";
import type { PreflightResult } from "../../shared/protocol/remote";
import { usePipelines } from "../../stores/pipelines";
import { useRuns } from "../../stores/runs";
import { useWorkers, workerName } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";
import { PlaceForm } from "../workers/PlaceForm";

interface PlaceFactProps {
  readonly pipeline: PipelineRecord;
  readonly stageId: string;
}

export function StagePlaceFact({ pipeline, stageId }: PlaceFactProps) {
  const { t } = useTranslation();
  const workers = useWorkers((state) => state.workers);
  const runId = pipeline.stages.find(({ id }) => id === stageId)?.run_id ?? null;
  const run = useRuns((state) => state.runs.find(({ run_id }) => run_id === runId));
  // A stage that has begun is where it began, whatever was chosen since.
  const id = workerOf(run === undefined ? pipeline.places[stageId] : run.place);
  if (id === null) return <>{t("workers.here")}</>;
  return (
    <Anchor component={Link} to="/workers" size="sm" underline="always">
      {workerName(workers, id)}
    </Anchor>
  );
}

interface ChangePlaceProps {
  readonly pipeline: PipelineRecord;
  readonly stage: StageConfig;
}

export function ChangePlace({ pipeline, stage }: ChangePlaceProps) {
  const { t } = useTranslation();
  const [opened, { open, close }] = useDisclosure();
  const workers = useWorkers((state) => state.workers);
  const done = pipeline.stages.find(({ id }) => id === stage.id)?.state === "finished";
  if (pipeline.state === "running" || done || workers.length === 0) return null;
  return (
    <>
      <Button variant="default" leftSection={<IconServer size={16} aria-hidden />} onClick={open}>
        {t("workers.change_place")}
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title={t("workers.change_place")}
        closeButtonProps={{ "aria-label": t("common.close") }}
        size="lg"
        centered
      >
        <Form pipeline={pipeline} stage={stage} onDone={close} />
      </Modal>
    </>
  );
}

function Form({ pipeline, stage, onDone }: ChangePlaceProps & { readonly onDone: () => void }) {
  const { t } = useTranslation();
  const save = usePipelines((state) => state.place);
  const [place, setPlace] = useState<StagePlace | null>(pipeline.places[stage.id] ?? null);
  const [preflight, setPreflight] = useState<PreflightResult | null>(null);
  const { busy, error, run } = useAction();
  const submit = async () => {
    const { [stage.id]: _, ...others } = pipeline.places;
    const places = place === null ? others : { ...others, [stage.id]: place };
    if (await run(() => save(pipeline.pipeline_id, places))) onDone();
  };
  return (
    <Stack gap="md">
      <PlaceForm
        stage={stage.id}
        kind={stage.stage}
        place={place}
        onChange={setPlace}
        config={pipeline.config}
        preflight={preflight}
        onPreflight={setPreflight}
      />
      {error !== null && <ErrorPanel error={error} />}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onDone}>
          {t("common.cancel")}
        </Button>
        <Button loading={busy} onClick={() => void submit()}>
          {t("workers.save_place")}
        </Button>
      </Group>
    </Stack>
  );
}
