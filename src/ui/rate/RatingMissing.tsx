/** While ratings are read, and when the one in the address is not here. */
import { Button, Loader, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useRatings } from "../../stores/ratings";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page } from "../common/Page";

export function RatingMissing({ loaded, id }: { readonly loaded: boolean; readonly id: string }) {
  const { t } = useTranslation();
  const loadError = useRatings((state) => state.loadError);
  if (!loaded)
    return (
      <Page title={t("app.loading")}>
        <Loader size="sm" aria-label={t("app.loading")} />
      </Page>
    );
  const error = loadError ?? { code: "rating.not_found" as const, message: id, details: { id } };
  return (
    <Page title={t("ratings.missing_title")}>
      <Stack gap="md" align="flex-start">
        <ErrorPanel error={error} />
        <Button component={Link} to="/ratings">
          {t("ratings.to_list")}
        </Button>
      </Stack>
    </Page>
  );
}
