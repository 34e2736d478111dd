/** A rating session for its host: what the votes say, item by item, against the rewards, and what to do with them. */
import { Anchor, Button, Loader, Select, Tabs } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { modelPairs } from "../../shared/ratings/session";
import { pairKey, useFigures } from "../../stores/figures";
import { type Rating, useRatings } from "../../stores/ratings";
import { ErrorPanel } from "../common/ErrorPanel";
import { Page } from "../common/Page";
import { ItemsTab } from "./ItemsTab";
import { Overview } from "./Overview";
import { RatersTab } from "./RatersTab";
import { RatingMissing } from "./RatingMissing";
import { RewardTab } from "./RewardTab";
import { TrainTab } from "./TrainTab";
import { VerdictTab } from "./VerdictTab";
import "./ratings.css";

export function SessionPage() {
  const { ratingId = "" } = useParams();
  const loaded = useRatings((state) => state.loaded);
  const rating = useRatings((state) => state.ratings[ratingId]);
  if (!loaded || rating === undefined) return <RatingMissing loaded={loaded} id={ratingId} />;
  return <Session key={ratingId} rating={rating} />;
}

const TABS = ["verdict", "items", "raters", "reward", "train"] as const;
type Tab = (typeof TABS)[number];

function Session({ rating }: { readonly rating: Rating }) {
  const { t } = useTranslation();
  const { session } = rating.record;
  const pairs = useMemo(() => modelPairs(session.models), [session.models]);
  const [place, setPlace] = useState(0);
  const pair = pairs[place] ?? pairs[0];
  const computed = useFigures((state) => (pair === undefined ? undefined : state.pairs[pairKey(session.id, pair)]));
  const { computePair } = useFigures.getState();
  const voted = rating.votes.some(({ answers }) => answers.length > 0);
  // As it was opened: the first vote that comes in over a link must not turn the page.
  const [shown, setTab] = useState<Tab>(() => (voted ? "verdict" : "raters"));
  useEffect(() => {
    if (pair !== undefined) void computePair(rating, pair);
  }, [computePair, rating, pair]);
  if (pair === undefined) return null;
  const tabs = TABS.filter((name) => name !== "reward" || rating.record.rewards.length > 0);
  const value = computed?.value;
  const figures = value?.status === "ready" ? value.value : null;
  const waiting = computed === undefined || value?.status === "loading";
  return (
    <Page
      title={session.name}
      lead={session.question}
      back={
        <Anchor component={Link} to="/ratings" size="sm">
          {t("ratings.to_list")}
        </Anchor>
      }
      actions={
        <Button component={Link} to={`/rate/${session.id}`} leftSection={<IconPlayerPlay size={16} aria-hidden />}>
          {t("ratings.rate_here")}
        </Button>
      }
    >
      {pairs.length > 1 && (
        <Select
          label={t("verdicts.pair")}
          w="min(100%, 420px)"
          allowDeselect={false}
          value={String(place)}
          onChange={(value) => value !== null && setPlace(Number(value))}
          data={pairs.map(([a, b], at) => ({ value: String(at), label: t("verdicts.versus", { a, b }) }))}
        />
      )}
      {value?.status === "failed" && <ErrorPanel error={value.error} />}
      <Tabs
        value={shown}
        onChange={(next) => setTab(TABS.find((name) => name === next) ?? "verdict")}
        keepMounted={false}
      >
        <Tabs.List aria-label={session.name}>
          {tabs.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {t(`verdicts.tab_${name}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="verdict" pt="lg">
          {waiting ? (
            <Loader size="sm" aria-label={t("verdicts.computing")} />
          ) : (
            <VerdictTab rating={rating} figures={figures} />
          )}
          <Overview rating={rating} />
        </Tabs.Panel>
        <Tabs.Panel value="items" pt="lg">
          <ItemsTab rating={rating} pair={pair} figures={figures} />
        </Tabs.Panel>
        <Tabs.Panel value="raters" pt="lg">
          <RatersTab rating={rating} figures={figures} />
        </Tabs.Panel>
        <Tabs.Panel value="reward" pt="lg">
          <RewardTab rating={rating} figures={figures} />
        </Tabs.Panel>
        <Tabs.Panel value="train" pt="lg">
          <TrainTab rating={rating} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
