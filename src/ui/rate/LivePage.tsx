/**
 * The page behind a live session's link: a name, then the rater's page. Works on a phone, over plain http and without
 * WebGPU; nothing of the studio is loaded or shown.
 */
import { Button, Loader, Stack, Text, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { type ErrorData, toErrorData } from "../../shared/errors";
import { RATER_NAME_LENGTH, raterNameOf, readCode, showCode } from "../../shared/protocol/live";
import { joinAs, type LiveNotice, type LiveRater, leaveAs, rejoin } from "../../stores/live-rater";
import { ErrorPanel } from "../common/ErrorPanel";
import { RaterView } from "./RaterView";
import "./live.css";
import "./rate.css";

export function LivePage() {
  const { code: typed = "" } = useParams();
  const { t } = useTranslation();
  const code = readCode(typed);
  useEffect(() => {
    document.title = t("rate.title");
  }, [t]);
  return code === null ? <EnterCode typed={typed} /> : <Joining key={code} code={code} />;
}

function EnterCode({ typed }: { readonly typed: string }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [text, setText] = useState(typed);
  const [wrong, setWrong] = useState(typed !== "");
  return (
    <div className="ng-rate-enter">
      <h1>{t("live.title")}</h1>
      <Text mb="lg">{t("live.enter_code")}</Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const code = readCode(text);
          setWrong(code === null);
          if (code !== null) navigate(`/live/${showCode(code)}`);
        }}
      >
        <Stack gap="md">
          <TextInput
            label={t("live.code")}
            placeholder={showCode("ABCDEFGH")}
            size="md"
            value={text}
            maxLength={40}
            autoComplete="off"
            autoCapitalize="characters"
            spellCheck={false}
            error={wrong ? t("live.code_bad") : undefined}
            onChange={(event) => {
              setText(event.currentTarget.value);
              setWrong(false);
            }}
          />
          <Button type="submit" size="md" disabled={text.trim() === ""}>
            {t("live.next")}
          </Button>
        </Stack>
      </form>
    </div>
  );
}

function Joining({ code }: { readonly code: string }) {
  const { t } = useTranslation();
  const [source, setSource] = useState<LiveRater | null>(null);
  const [error, setError] = useState<ErrorData | null>(null);
  /** Looking for the name of before a reload. */
  const [looking, setLooking] = useState(true);

  useEffect(() => {
    let current = true;
    rejoin(code)
      .then((found) => {
        if (current) setSource(found);
        else found?.end();
      })
      .catch((thrown: unknown) => current && setError(toErrorData(thrown)))
      .finally(() => current && setLooking(false));
    return () => {
      current = false;
    };
  }, [code]);

  useEffect(() => () => source?.end(), [source]);

  if (looking) return <Loader size="sm" m="xl" aria-label={t("app.loading")} />;
  if (source === null)
    return (
      <EnterName
        code={code}
        error={error}
        onJoin={async (name) => {
          setError(null);
          try {
            setSource(await joinAs(code, name));
          } catch (thrown) {
            setError(toErrorData(thrown));
          }
        }}
      />
    );
  return (
    <LiveTurn
      source={source}
      onLeave={() => {
        void leaveAs(code);
        setSource(null);
      }}
    />
  );
}

interface EnterNameProps {
  readonly code: string;
  readonly error: ErrorData | null;
  readonly onJoin: (name: string) => Promise<void>;
}

function EnterName({ code, error, onJoin }: EnterNameProps) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const rater = raterNameOf(name);
  return (
    <div className="ng-rate-enter">
      <h1>{t("live.title")}</h1>
      <Text mb="lg">{t("live.lead")}</Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (rater === "" || busy) return;
          setBusy(true);
          void onJoin(rater).finally(() => setBusy(false));
        }}
      >
        <Stack gap="md">
          <TextInput
            label={t("live.name")}
            description={t("live.name_help")}
            size="md"
            value={name}
            maxLength={RATER_NAME_LENGTH}
            autoComplete="nickname"
            autoFocus
            onChange={(event) => setName(event.currentTarget.value)}
          />
          {error !== null && <ErrorPanel error={error} />}
          <Button type="submit" size="md" loading={busy} disabled={rater === ""}>
            {t("live.join")}
          </Button>
          <Text size="sm" c="dimmed">
            {t("live.code_is", { code: showCode(code) })}
          </Text>
        </Stack>
      </form>
    </div>
  );
}

function LiveTurn({ source, onLeave }: { readonly source: LiveRater; readonly onLeave: () => void }) {
  const { t } = useTranslation();
  const [notice, setNotice] = useState<LiveNotice>({ open: true, problem: null });
  useEffect(() => source.notices(setNotice), [source]);
  return (
    <div>
      {notice.problem !== null && (
        <div className="ng-rate-banner">
          <ErrorPanel error={notice.problem.toData()} />
        </div>
      )}
      {notice.problem === null && !notice.open && (
        <p className="ng-notice ng-rate-banner" data-tone="warn" role="status">
          {t("live.closed")}
        </p>
      )}
      <RaterView
        source={source}
        leave={
          <button type="button" className="ng-rate-link" onClick={onLeave}>
            {t("live.other_name")}
          </button>
        }
        done={() => <Delivered source={source} />}
      />
    </div>
  );
}

/** Whether the page may be closed. */
function Delivered({ source }: { readonly source: LiveRater }) {
  const { t } = useTranslation();
  const [unsent, setUnsent] = useState(0);
  useEffect(() => source.watch((link) => setUnsent(link.unsent)), [source]);
  return <Text my="md">{t(unsent === 0 ? "live.done" : "live.done_unsent")}</Text>;
}
