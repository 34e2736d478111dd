/** The machines that run what a browser cannot: those that are known, and how to get one. */
import { Text } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useWorkers } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { AddWorker } from "./AddWorker";
import { WorkerCard } from "./WorkerCard";
import "./workers.css";

const COMMANDS = [
  { key: "command_here", text: "npm run worker" },
  {
    key: "command_anywhere",
    text: "ssh -L 8471:localhost:8471 HOST\npip install ./workers/remote && nagi-worker serve",
  },
  { key: "command_relay", text: "!pip install ./workers/remote\n!nagi-worker join wss://RELAY" },
] as const;

export function WorkersPage() {
  const { t } = useTranslation();
  const { loaded, loadError, workers } = useWorkers();
  useEffect(() => useWorkers.getState().watch(), []);
  return (
    <Page title={t("workers.title")} lead={t("workers.lead")}>
      {loadError !== null && <ErrorPanel error={loadError} />}
      <div className="ng-workers">
        {workers.map((worker) => (
          <WorkerCard key={worker.id} worker={worker} />
        ))}
        <AddWorker />
        <Section title={t(loaded && workers.length === 0 ? "workers.none_title" : "workers.how")}>
          <Text size="sm">{t("workers.none")}</Text>
          <dl className="ng-worker-commands">
            {COMMANDS.map(({ key, text }) => (
              <div key={key}>
                <dt>{t(`workers.${key}`)}</dt>
                <dd>
                  <pre className="ng-code">{text}</pre>
                </dd>
              </div>
            ))}
          </dl>
          <Text size="sm" c="dimmed" mt="sm">
            {t("workers.none_relay")}
          </Text>
        </Section>
      </div>
    </Page>
  );
}
