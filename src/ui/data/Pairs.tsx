/** Pairs to learn from: from votes, or from a file that is opened here. */
import { ActionIcon, Anchor, Button, FileButton, Text } from "@mantine/core";
import { IconFolderOpen, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { ArtefactRecord } from "../../shared/protocol/artefact";
import { useArtefacts } from "../../stores/artefacts";
import { importPairs } from "../../stores/rating-pairs";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";

export function Pairs() {
  const { t } = useTranslation();
  const format = useFormat();
  const pairs = useArtefacts((state) => state.artefacts).filter(({ kind }) => kind === "preferences");
  const remove = useArtefacts((state) => state.delete);
  const [removing, setRemoving] = useState<ArtefactRecord | null>(null);
  const { busy, error, run } = useAction();
  return (
    <Section
      title={t("data.pairs")}
      help={t("data.pairs_help")}
      actions={
        <FileButton
          accept=".jsonl,.ndjson,.json"
          inputProps={{ "aria-label": t("data.import_pairs") }}
          onChange={(file) =>
            file !== null && void run(async () => void (await importPairs(file.name.replace(/\.[^.]+$/, ""), file)))
          }
        >
          {(props) => (
            <Button {...props} variant="default" loading={busy} leftSection={<IconFolderOpen size={16} aria-hidden />}>
              {t("data.import_pairs")}
            </Button>
          )}
        </FileButton>
      }
    >
      {error !== null && <ErrorPanel error={error} />}
      {pairs.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("data.no_pairs")}
        </Text>
      ) : (
        <ul className="ng-pairs">
          {pairs.map((pair) => {
            const label = t("data.remove", { name: pair.name });
            return (
              <li key={pair.id}>
                <Anchor component={Link} to={`/artefacts/${pair.id}`} size="sm" fw={600} className="ng-sentence">
                  {pair.name}
                </Anchor>
                <Text size="xs" c="dimmed">
                  {format.time(pair.created)}
                </Text>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={label}
                  title={label}
                  onClick={() => setRemoving(pair)}
                >
                  <IconTrash size={16} />
                </ActionIcon>
              </li>
            );
          })}
        </ul>
      )}
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("data.remove_title")}
        text={t("data.remove_pairs", { name: removing?.name ?? "" })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing !== null) await remove(removing.id);
        }}
      />
    </Section>
  );
}
