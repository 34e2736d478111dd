/** The host's panel of a live session: start it, hand out the link, see who is how far; votes come in by themselves. */
import { Button, CopyButton, Group, Progress, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconAccessPoint, IconCheck, IconCopy } from "@tabler/icons-react";
import { QRCodeSVG } from "qrcode.react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { showCode } from "../../shared/protocol/live";
import { type LiveSide, useLive } from "../../stores/live";
import { ConfirmModal } from "../common/ConfirmModal";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { useFormat } from "../common/use-format";
import "./live.css";

export function LiveHost({ ratingId }: { readonly ratingId: string }) {
  const { t } = useTranslation();
  const side = useLive((store) => store.sides[ratingId]);
  useEffect(() => useLive.getState().resume(ratingId), [ratingId]);
  const state = side?.state ?? null;
  return (
    <Section title={t("live.host.title")} help={t("live.host.help")}>
      <Stack gap="md">
        {side?.error && <ErrorPanel error={side.error} />}
        {side === undefined || state === null ? (
          <Group>
            <Button
              leftSection={<IconAccessPoint size={18} aria-hidden />}
              loading={side?.busy ?? false}
              onClick={() => void useLive.getState().start(ratingId)}
            >
              {t("live.host.start")}
            </Button>
          </Group>
        ) : (
          <Running ratingId={ratingId} side={side} state={state} />
        )}
      </Stack>
    </Section>
  );
}

interface RunningProps {
  readonly ratingId: string;
  readonly side: LiveSide;
  readonly state: NonNullable<LiveSide["state"]>;
}

function Running({ ratingId, side, state }: RunningProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const [asking, { open: ask, close: answer }] = useDisclosure();
  const live = useLive.getState();
  const links = state.addresses.map((address) => `${address}/live/${showCode(state.code)}`);
  const local = links.every((link) => /^http:\/\/(localhost|127\.|\[::1\])/.test(link));
  return (
    <>
      {!state.online && (
        <p className="ng-notice" data-tone="warn" role="status">
          {t("live.host.offline")}
        </p>
      )}
      <div className="ng-live">
        {links[0] !== undefined && (
          <div className="ng-live-code">
            <QRCodeSVG value={links[0]} size={148} marginSize={2} title={t("live.host.qr")} />
          </div>
        )}
        <div className="ng-live-links">
          <Text size="sm" fw={600}>
            {t("live.host.link")}
          </Text>
          {links.map((link) => (
            <div key={link} className="ng-live-address">
              <code className="ng-live-link">{link}</code>
              <CopyButton value={link}>
                {({ copied, copy }) => (
                  <Button
                    variant="default"
                    size="compact-sm"
                    aria-label={t("live.host.copy_link", { link })}
                    leftSection={copied ? <IconCheck size={15} aria-hidden /> : <IconCopy size={15} aria-hidden />}
                    onClick={copy}
                  >
                    {t(copied ? "live.host.copied" : "live.host.copy")}
                  </Button>
                )}
              </CopyButton>
            </div>
          ))}
          <Text size="sm">
            {t("live.host.code")} <b className="ng-live-letters">{showCode(state.code)}</b>
          </Text>
          <Text size="sm" c="dimmed">
            {t(local ? "live.host.only_here" : "live.host.code_help")}
          </Text>
        </div>
      </div>
      <RaterList state={state} />
      {side.conflicts.length > 0 && (
        <p className="ng-notice" data-tone="warn">
          {t("live.host.conflicts", { names: side.conflicts.join(t("live.host.and")) })}
        </p>
      )}
      <Group gap="xs">
        <Button
          variant="default"
          disabled={side.busy || !state.online}
          onClick={() => void live.setOpen(ratingId, !state.open)}
        >
          {t(state.open ? "live.host.close" : "live.host.reopen")}
        </Button>
        <Button variant="default" disabled={side.busy || !state.online} onClick={() => void live.collect(ratingId)}>
          {t("live.host.collect")}
        </Button>
        <Button variant="subtle" color="red" disabled={side.busy || !state.online} onClick={ask}>
          {t("live.host.forget")}
        </Button>
        {side.collected !== null && (
          <Text size="sm" c="dimmed" className="ng-numeric">
            {t("live.host.collected", { time: format.time(side.collected) })}
          </Text>
        )}
      </Group>
      <ConfirmModal
        opened={asking}
        onClose={answer}
        title={t("live.host.forget_title")}
        text={t("live.host.forget_text")}
        confirm={t("live.host.forget")}
        action={() => live.forget(ratingId)}
      />
    </>
  );
}

function RaterList({ state }: { readonly state: RunningProps["state"] }) {
  const { t } = useTranslation();
  return (
    <div>
      <Text size="sm" fw={600} mb={4} role="status">
        {t(state.open ? "live.host.raters" : "live.host.raters_closed", { count: state.raters.length })}
      </Text>
      {state.raters.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("live.host.nobody")}
        </Text>
      ) : (
        <ul className="ng-live-raters">
          {state.raters.map(({ rater, done, of, online }) => (
            <li key={rater}>
              <span className="ng-live-name">{rater}</span>
              <Progress
                value={of === 0 ? 0 : (100 * done) / of}
                size="sm"
                aria-label={t("live.host.progress_of", { rater })}
              />
              <span className="ng-numeric">{t("rate.count", { done, total: of })}</span>
              <span className="ng-live-presence" data-online={online}>
                {t(done >= of ? "live.host.finished" : online ? "live.host.here" : "live.host.away")}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
