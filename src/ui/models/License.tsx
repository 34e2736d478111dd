/** A model's licence and whom to name, with links to the licence's text and to the model's page. */
import { Anchor, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { licenseName, licenseUrl, type ModelCredit } from "../../shared/credit";

export function License({ credit: { license, holder, url } }: { readonly credit: ModelCredit }) {
  const { t } = useTranslation();
  const text = license === null ? null : licenseUrl(license);
  const name = license === null ? t("models.license_unknown") : licenseName(license);
  return (
    <>
      {text === null ? (
        name
      ) : (
        <Anchor href={text} target="_blank" rel="noreferrer" inherit underline="always">
          {name}
        </Anchor>
      )}
      {holder !== null && (
        <Text component="span" size="sm" fw={400} display="block">
          {url === null ? (
            holder
          ) : (
            <Anchor href={url} target="_blank" rel="noreferrer" inherit underline="always">
              {holder}
            </Anchor>
          )}
        </Text>
      )}
    </>
  );
}
