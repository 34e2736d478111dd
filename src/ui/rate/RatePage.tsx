/** Rating in turn on one machine: a name, then the rater's page. Nothing here or in the address names a model. */
import { Anchor, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";
import { repeatGap } from "../../shared/ratings/plan";
import { showingsOf } from "../../shared/ratings/session";
import { localSource } from "../../stores/rater-sources";
import { type Rating, useRatings } from "../../stores/ratings";
import { RaterView } from "./RaterView";
import { RatingMissing } from "./RatingMissing";
import "./rate.css";

export function RatePage() {
  const { session = "" } = useParams();
  const [query, setQuery] = useSearchParams();
  const loaded = useRatings((state) => state.loaded);
  const rating = useRatings((state) => state.ratings[session]);
  const rater = query.get("rater");
  if (!loaded || rating === undefined) return <RatingMissing loaded={loaded} id={session} />;
  return rater === null ? (
    <Enter rating={rating} onEnter={(name) => setQuery({ rater: name })} />
  ) : (
    <Turn key={rater} session={session} rater={rater} />
  );
}

function Turn({ session, rater }: { readonly session: string; readonly rater: string }) {
  const { t } = useTranslation();
  const source = useMemo(() => localSource(session, rater), [session, rater]);
  const others = `/rate/${session}`;
  return (
    <RaterView
      source={source}
      leave={
        <Anchor component={Link} to={others} size="sm">
          {t("rate.pause")}
        </Anchor>
      }
      done={() => (
        <Group gap="xs" mt="lg">
          <Button component={Link} to={others}>
            {t("rate.next_rater")}
          </Button>
          <Button component={Link} to={`/ratings/${session}`} variant="default">
            {t("rate.to_results")}
          </Button>
        </Group>
      )}
    />
  );
}

interface EnterProps {
  readonly rating: Rating;
  readonly onEnter: (name: string) => void;
}

function Enter({ rating, onEnter }: EnterProps) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const { session } = rating.record;
  const total = showingsOf(session) + session.repeats;
  const typed = name.trim();
  const taken = rating.votes.some(({ rater, source }) => rater === typed && source !== "turn");
  const here = rating.votes.filter(({ source }) => source === "turn");
  useEffect(() => {
    document.title = t("rate.title");
  }, [t]);
  return (
    <div className="ng-rate-enter">
      <Stack gap="lg">
        <div>
          <h1>{t("rate.enter_title")}</h1>
          <Text>{session.question}</Text>
          <Text size="sm" c="dimmed" mt={6}>
            {t("rate.enter_help", { count: total })}
            {session.repeats > 0 && ` ${t("rate.enter_repeats", { count: session.repeats, gap: repeatGap(session) })}`}
          </Text>
        </div>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (typed !== "" && !taken) onEnter(typed);
          }}
        >
          <Group gap="xs" align="flex-start">
            <TextInput
              label={t("rate.name")}
              description={t("rate.name_help")}
              value={name}
              maxLength={100}
              autoComplete="off"
              error={taken ? t("rate.name_taken") : undefined}
              onChange={(event) => setName(event.currentTarget.value)}
              flex="1 1 220px"
            />
            <Button type="submit" disabled={typed === "" || taken} mt={24}>
              {t("rate.begin")}
            </Button>
          </Group>
        </form>
        {here.length > 0 && (
          <section aria-labelledby="known">
            <Text id="known" component="h2" size="sm" fw={600} mb={6}>
              {t("rate.continue")}
            </Text>
            <ul className="ng-rate-known">
              {here.map(({ rater, answers }) => (
                <li key={rater}>
                  <Link to={`/rate/${session.id}?rater=${encodeURIComponent(rater)}`}>
                    <span>{rater}</span>
                    <span className="ng-numeric">{t("rate.count", { done: answers.length, total })}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        )}
        <Anchor component={Link} to="/ratings" size="sm">
          {t("rate.leave")}
        </Anchor>
      </Stack>
    </div>
  );
}
