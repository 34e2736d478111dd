/** What can be done with the run in its present state. */
import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDeviceFloppy, IconPlayerPause, IconPlayerPlay, IconPlayerStop } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useRuns } from "../../stores/runs";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { useAction } from "../common/use-action";
import { useRecord } from "./use-run";

export function RunActions({ runId }: { readonly runId: string }) {
  const { t } = useTranslation();
  const state = useRecord(runId, (record) => record.state);
  const { pause, resume, stop, checkpoint } = useRuns.getState();
  const pausing = useAction();
  const resuming = useAction();
  const saving = useAction();
  const [asking, { open, close }] = useDisclosure();
  const live = state === "running" || state === "preparing" || state === "queued";
  const error = pausing.error ?? resuming.error ?? saving.error;
  return (
    <>
      {(state === "paused" || state === "failed") && (
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          loading={resuming.busy}
          onClick={() => void resuming.run(() => resume(runId))}
        >
          {t("run.resume")}
        </Button>
      )}
      {live && (
        <Button
          leftSection={<IconPlayerPause size={16} aria-hidden />}
          loading={pausing.busy}
          disabled={state !== "running"}
          onClick={() => void pausing.run(() => pause(runId))}
        >
          {t("run.pause")}
        </Button>
      )}
      {state === "running" && (
        <Button
          variant="default"
          leftSection={<IconDeviceFloppy size={16} aria-hidden />}
          loading={saving.busy}
          onClick={() => void saving.run(() => checkpoint(runId))}
        >
          {t("run.checkpoint")}
        </Button>
      )}
      {(live || state === "paused") && (
        <Button variant="default" leftSection={<IconPlayerStop size={16} aria-hidden />} onClick={open}>
          {t("run.stop")}
        </Button>
      )}
      {error !== null && <ErrorPanel error={error} />}
      <ConfirmModal
        opened={asking}
        onClose={close}
        title={t("run.stop_title")}
        text={t("run.stop_text")}
        confirm={t("run.stop_confirm")}
        action={() => stop(runId)}
      />
    </>
  );
}
