/** Address and token of a worker, or a relay's address and the pairing code. */
import { Button, PasswordInput, SegmentedControl, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import type { WorkerAddress } from "../../shared/protocol/workers";
import { useWorkers } from "../../stores/workers";
import { ErrorPanel } from "../common/ErrorPanel";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";

type Via = WorkerAddress["via"];
const VIAS: readonly Via[] = ["direct", "relay"];

/** A worker prints its address with the token behind a "#": both can be pasted in one piece. */
function split(text: string): { url: string; token: string | null } {
  const [url = "", fragment = ""] = text.split("#");
  const token = new URLSearchParams(fragment).get("token");
  return { url: url.trim(), token };
}

export function AddWorker() {
  const { t } = useTranslation();
  const add = useWorkers((state) => state.add);
  const [via, setVia] = useState<Via>("direct");
  const [url, setUrl] = useState("");
  const [secret, setSecret] = useState("");
  const { busy, error, run, clear } = useAction();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const address: WorkerAddress = via === "direct" ? { via, url, token: secret } : { via, url, code: secret };
    const added = await run(async () => {
      await add(address);
    });
    if (!added) return;
    setUrl("");
    setSecret("");
  };

  return (
    <Section title={t("workers.add")}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack gap="md">
          <SegmentedControl
            aria-label={t("workers.via")}
            value={via}
            onChange={(value) => {
              clear();
              setSecret("");
              setVia(VIAS.find((one) => one === value) ?? "direct");
            }}
            data={VIAS.map((value) => ({ value, label: t(`workers.via_${value}`) }))}
          />
          <TextInput
            label={t(via === "direct" ? "workers.url" : "workers.relay_url")}
            description={t(via === "direct" ? "workers.url_help" : "workers.relay_help")}
            value={url}
            required
            withAsterisk={false}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => {
              const pasted = split(event.currentTarget.value);
              setUrl(pasted.token === null ? event.currentTarget.value : pasted.url);
              if (pasted.token !== null && via === "direct") setSecret(pasted.token);
            }}
          />
          {via === "direct" ? (
            <PasswordInput
              label={t("workers.token")}
              description={t("workers.token_help")}
              inputWrapperOrder={["label", "input", "description", "error"]}
              visibilityToggleButtonProps={{ "aria-label": t("workers.show_token") }}
              value={secret}
              required
              withAsterisk={false}
              autoComplete="off"
              onChange={(event) => setSecret(event.currentTarget.value)}
            />
          ) : (
            <TextInput
              label={t("workers.code")}
              description={t("workers.code_help")}
              value={secret}
              required
              withAsterisk={false}
              autoComplete="off"
              spellCheck={false}
              classNames={{ input: "ng-numeric" }}
              onChange={(event) => setSecret(event.currentTarget.value)}
            />
          )}
          {error !== null && <ErrorPanel error={error} />}
          <div>
            <Button type="submit" loading={busy} disabled={url.trim() === "" || secret.trim() === ""}>
              {t("workers.connect")}
            </Button>
          </div>
        </Stack>
      </form>
    </Section>
  );
}
