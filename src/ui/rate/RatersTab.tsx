/** Who has voted how far, and the ways votes come in: in turn here, by a bundle file, over a link. */
import { ActionIcon, Button, Group, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconPackageExport, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { RaterVotes } from "../../shared/protocol/rating-files";
import { makeBundle } from "../../shared/ratings/bundle";
import type { PairFigures } from "../../shared/ratings/figures";
import { showingsOf } from "../../shared/ratings/session";
import { type Rating, useRatings } from "../../stores/ratings";
import { ConfirmModal } from "../common/ConfirmModal";
import { download, safeFileName } from "../common/download";
import { ErrorPanel } from "../common/ErrorPanel";
import { formatPercent, formatValue } from "../common/format";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { FileDrop } from "./FileDrop";
import { LiveHost } from "./LiveHost";
import { pText } from "./p-text";
import { raterTotals } from "./RaterDone";
import { shareText } from "./VerdictTab";

export function RatersTab({ rating, figures }: { readonly rating: Rating; readonly figures: PairFigures | null }) {
  const { t } = useTranslation();
  return (
    <Stack gap="lg">
      <Section
        title={t("raters.title")}
        help={t("raters.help")}
        actions={
          <Button component={Link} to={`/rate/${rating.record.session.id}`} variant="default">
            {t("raters.turn")}
          </Button>
        }
      >
        {rating.votes.length === 0 ? (
          <Text size="sm" c="dimmed">
            {t("raters.none")}
          </Text>
        ) : (
          <Raters rating={rating} figures={figures} />
        )}
      </Section>
      <LiveHost ratingId={rating.record.session.id} />
      <Bundles rating={rating} />
    </Stack>
  );
}

function Raters({ rating, figures }: { readonly rating: Rating; readonly figures: PairFigures | null }) {
  const { t } = useTranslation();
  const format = useFormat();
  const removeRater = useRatings((state) => state.removeRater);
  const [removing, setRemoving] = useState<string | null>(null);
  const { session } = rating.record;
  const total = showingsOf(session) + session.repeats;
  const heads = ["name", "source", "done", "skipped", "median", "left", "self"] as const;
  return (
    <>
      <Table.ScrollContainer
        minWidth={700}
        scrollAreaProps={{
          viewportProps: {
            tabIndex: 0,
            role: "group",
            "aria-label": t("verdicts.scrolled", { name: t("raters.title") }),
          },
        }}
      >
        <Table className="ng-numeric" aria-label={t("raters.title")}>
          <Table.Thead>
            <Table.Tr>
              {heads.map((head) => (
                <Table.Th scope="col" key={head}>
                  {t(`raters.${head}`)}
                </Table.Th>
              ))}
              <Table.Td />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rating.votes.map((votes: RaterVotes) => {
              const { rater, source, answers } = votes;
              const totals = raterTotals(answers);
              const own = figures?.raters.find((one) => one.rater === rater);
              const label = t("raters.remove_label", { name: rater });
              return (
                <Table.Tr key={rater}>
                  <Table.Th scope="row" className="ng-sentence">
                    {rater}
                  </Table.Th>
                  <Table.Td>{t(`raters.source_${source}`)}</Table.Td>
                  <Table.Td>{t("rate.count", { done: answers.length, total })}</Table.Td>
                  <Table.Td>{format.count(totals.skipped)}</Table.Td>
                  <Table.Td>
                    {totals.median_seconds === null
                      ? "–"
                      : t("raters.seconds", { value: formatValue(totals.median_seconds, 2) })}
                  </Table.Td>
                  <Table.Td>
                    {own === undefined
                      ? "–"
                      : t("verdicts.with_p", { value: formatPercent(own.side.rate), p: pText(own.side.p) })}
                  </Table.Td>
                  <Table.Td>
                    {own === undefined ? "–" : shareText(own.consistency.share, own.consistency.exact95)}
                  </Table.Td>
                  <Table.Td>
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      aria-label={label}
                      title={label}
                      onClick={() => setRemoving(rater)}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("raters.remove_title")}
        text={t("raters.remove_text", { name: removing ?? "" })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing !== null) await removeRater(session.id, removing);
        }}
      />
    </>
  );
}

function Bundles({ rating }: { readonly rating: Rating }) {
  const { t } = useTranslation();
  const { importVotes } = useRatings.getState();
  const { session } = rating.record;
  const [name, setName] = useState("");
  const [taken, setTaken] = useState<readonly string[]>([]);
  const making = useAction();
  const importing = useAction();
  const typed = name.trim();
  const known = rating.votes.some(({ rater }) => rater === typed);
  const make = () =>
    making.run(async () => {
      const bundle = await makeBundle(session, typed);
      download(JSON.stringify(bundle), `${safeFileName(typed)}.bundle.json`, "application/json");
      setName("");
    });
  const take = (files: readonly File[]) =>
    void importing.run(async () => {
      setTaken([]);
      const votes = await importVotes(session.id, files);
      setTaken(votes.map(({ rater, answers }) => t("raters.imported_one", { name: rater, count: answers.length })));
    });
  return (
    <Section title={t("raters.files")} help={t("raters.files_help")}>
      <div className="ng-two">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (typed !== "" && !known) void make();
          }}
        >
          <Stack gap="xs" align="flex-start">
            <TextInput
              label={t("raters.bundle_name")}
              description={t("raters.bundle_help")}
              value={name}
              maxLength={100}
              error={known ? t("raters.known") : undefined}
              onChange={(event) => setName(event.currentTarget.value)}
              w="min(100%, 320px)"
            />
            <Button
              type="submit"
              variant="default"
              loading={making.busy}
              disabled={typed === "" || known}
              leftSection={<IconPackageExport size={16} aria-hidden />}
            >
              {t("raters.make_bundle")}
            </Button>
            {making.error !== null && <ErrorPanel error={making.error} />}
          </Stack>
        </form>
        <Stack gap="xs">
          <FileDrop
            label={t("raters.import")}
            help={t("raters.import_help")}
            accept=".json,application/json"
            busy={importing.busy}
            onFiles={take}
          />
          {taken.length > 0 && (
            <Group gap="xs" role="status">
              <Text size="sm">{t("raters.imported", { names: taken.join(", ") })}</Text>
            </Group>
          )}
          {importing.error !== null && <ErrorPanel error={importing.error} />}
        </Stack>
      </div>
    </Section>
  );
}
