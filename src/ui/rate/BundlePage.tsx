/** Rating from a bundle file, without the host: the votes stay in this browser until they are sent back as a file. */
import { Anchor, Button, Stack, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { votesFile } from "../../shared/ratings/bundle";
import { bundleSource } from "../../stores/rater-sources";
import { useRatings } from "../../stores/ratings";
import { download, safeFileName } from "../common/download";
import { RaterView } from "./RaterView";
import { RatingMissing } from "./RatingMissing";
import "./rate.css";

export function BundlePage() {
  const { digest = "" } = useParams();
  const { t } = useTranslation();
  const loaded = useRatings((state) => state.loaded);
  const here = useRatings((state) => state.bundles[digest] !== undefined);
  const source = useMemo(() => bundleSource(digest), [digest]);
  if (!loaded || !here) return <RatingMissing loaded={loaded} id={digest} />;
  return (
    <RaterView
      source={source}
      leave={
        <Anchor component={Link} to="/ratings" size="sm">
          {t("rate.pause")}
        </Anchor>
      }
      done={() => (
        <Stack gap="xs" mt="lg" align="flex-start">
          <Text>{t("rate.send_back")}</Text>
          <SaveVotes digest={digest} />
        </Stack>
      )}
    />
  );
}

/** Hands the votes on a bundle to the browser's download. */
export function SaveVotes({ digest, light = false }: { readonly digest: string; readonly light?: boolean }) {
  const { t } = useTranslation();
  const save = () => {
    const opened = useRatings.getState().bundles[digest];
    if (opened === undefined) return;
    const file = votesFile(opened.bundle, opened.answers);
    download(JSON.stringify(file), `${safeFileName(file.rater)}.votes.json`, "application/json");
  };
  return (
    <Button
      variant={light ? "default" : "filled"}
      size={light ? "compact-sm" : "sm"}
      leftSection={<IconDownload size={16} aria-hidden />}
      onClick={save}
    >
      {t("rate.save_votes")}
    </Button>
  );
}
