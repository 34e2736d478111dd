/** The rating sessions of this browser, and bundles that were opened here to rate. */
import { ActionIcon, Anchor, Button, FileButton, Group, Loader, Text } from "@mantine/core";
import { IconFileImport, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import type { OpenedBundle } from "../../shared/protocol/rating-files";
import { showingsOf } from "../../shared/ratings/session";
import { type Rating, useRatings } from "../../stores/ratings";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { SaveVotes } from "./BundlePage";
import "./ratings.css";

type Removing =
  | { readonly kind: "session"; readonly id: string; readonly name: string }
  | { readonly kind: "bundle"; readonly id: string; readonly name: string };

export function RatingsPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { loaded, loadError, ratings, bundles } = useRatings();
  const { delete: remove, removeBundle, openBundle } = useRatings.getState();
  const [removing, setRemoving] = useState<Removing | null>(null);
  const { busy, error, run } = useAction();
  const newest = Object.values(ratings).sort((one, other) => other.record.session.created - one.record.session.created);
  const opened = Object.values(bundles);
  return (
    <Page
      title={t("ratings.title")}
      lead={t("ratings.lead")}
      actions={
        <>
          <FileButton
            accept=".json,application/json"
            onChange={(file) =>
              file !== null && void run(async () => void (await navigate(`/rate/file/${await openBundle(file)}`)))
            }
            inputProps={{ "aria-label": t("ratings.open_bundle") }}
          >
            {(props) => (
              <Button
                {...props}
                variant="default"
                loading={busy}
                leftSection={<IconFileImport size={16} aria-hidden />}
              >
                {t("ratings.open_bundle")}
              </Button>
            )}
          </FileButton>
          <Button component={Link} to="/ratings/new" leftSection={<IconPlus size={16} aria-hidden />}>
            {t("ratings.new")}
          </Button>
        </>
      }
    >
      {loadError !== null && <ErrorPanel error={loadError} />}
      {error !== null && <ErrorPanel error={error} />}
      {opened.length > 0 && (
        <Section title={t("ratings.bundles")} help={t("ratings.bundles_help")}>
          <ul className="ng-ratings">
            {opened.map((bundle) => (
              <BundleRow key={bundle.bundle.digest} opened={bundle} onRemove={setRemoving} />
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("ratings.sessions")}>
        {!loaded ? (
          <Loader size="sm" aria-label={t("app.loading")} />
        ) : newest.length === 0 ? (
          <Text c="dimmed" size="sm">
            {t("ratings.empty")}
          </Text>
        ) : (
          <ul className="ng-ratings">
            {newest.map((rating) => (
              <SessionRow key={rating.record.session.id} rating={rating} onRemove={setRemoving} />
            ))}
          </ul>
        )}
      </Section>
      <ConfirmModal
        opened={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("ratings.delete_title")}
        text={t(removing?.kind === "bundle" ? "ratings.delete_bundle" : "ratings.delete_session", {
          name: removing?.name ?? "",
        })}
        confirm={t("common.delete")}
        action={async () => {
          if (removing?.kind === "bundle") await removeBundle(removing.id);
          else if (removing !== null) await remove(removing.id);
        }}
      />
    </Page>
  );
}

interface RowProps {
  readonly onRemove: (what: Removing) => void;
}

function SessionRow({ rating, onRemove }: RowProps & { readonly rating: Rating }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { session } = rating.record;
  const total = showingsOf(session) + session.repeats;
  const voted = rating.votes.reduce((sum, { answers }) => sum + answers.length, 0);
  const label = t("ratings.delete_label", { name: session.name });
  return (
    <li>
      <div className="ng-ratings-name">
        <Anchor component={Link} to={`/ratings/${session.id}`} fw={600} size="sm" className="ng-sentence">
          {session.name}
        </Anchor>
        <Text size="sm" c="dimmed" className="ng-sentence">
          {session.question}
        </Text>
      </div>
      <Text size="sm" className="ng-numeric">
        {t("ratings.extent", { items: format.count(session.items.length), models: session.models.length })}
      </Text>
      <Text size="sm" className="ng-numeric">
        {t("ratings.progress", {
          raters: rating.votes.length,
          done: format.count(voted),
          of: format.count(total * Math.max(1, rating.votes.length)),
        })}
      </Text>
      <Text size="xs" c="dimmed">
        {format.time(session.created)}
      </Text>
      <Group gap={4} wrap="nowrap">
        <Button component={Link} to={`/rate/${session.id}`} size="compact-sm" variant="default">
          {t("ratings.rate")}
        </Button>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={label}
          title={label}
          onClick={() => onRemove({ kind: "session", id: session.id, name: session.name })}
        >
          <IconTrash size={16} />
        </ActionIcon>
      </Group>
    </li>
  );
}

function BundleRow({ opened, onRemove }: RowProps & { readonly opened: OpenedBundle }) {
  const { t } = useTranslation();
  const { page, digest } = opened.bundle;
  const label = t("ratings.delete_label", { name: page.rater });
  return (
    <li>
      <div className="ng-ratings-name">
        <Anchor component={Link} to={`/rate/file/${digest}`} fw={600} size="sm" className="ng-sentence">
          {page.question}
        </Anchor>
        <Text size="sm" c="dimmed" className="ng-sentence">
          {t("ratings.bundle_for", { name: page.rater })}
        </Text>
      </div>
      <Text size="sm" className="ng-numeric">
        {t("rate.count", { done: opened.answers.length, total: page.showings.length })}
      </Text>
      <Group gap={4} wrap="nowrap">
        <Button component={Link} to={`/rate/file/${digest}`} size="compact-sm" variant="default">
          {t("ratings.rate")}
        </Button>
        <SaveVotes digest={digest} light />
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={label}
          title={label}
          onClick={() => onRemove({ kind: "bundle", id: digest, name: page.rater })}
        >
          <IconTrash size={16} />
        </ActionIcon>
      </Group>
    </li>
  );
}
