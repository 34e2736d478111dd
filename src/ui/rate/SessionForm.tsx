/** The settings of a session over texts that were found, and the plan that follows from them. */
import { Button, Checkbox, Group, Stack, Switch, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { modelPairs } from "../../shared/ratings/session";
import { useRatings } from "../../stores/ratings";
import { ErrorPanel } from "../common/ErrorPanel";
import { readNumber } from "../common/numbers";
import { Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { formProblems, planOf, type RatingForm, recordFrom, repeatLimit, type TextSource } from "./new-rating";
import { PlanCard } from "./PlanCard";

export interface SessionFormProps {
  readonly source: TextSource;
  readonly defaultName: string;
}

/** Numbers as they are typed. */
interface Typed {
  readonly items: string;
  readonly pairs_per_item: string;
  readonly repeats: string;
  readonly seed: string;
}

const number = (text: string): number => readNumber(text) ?? Number.NaN;

export function SessionForm({ source, defaultName }: SessionFormProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const navigate = useNavigate();
  const create = useRatings((state) => state.create);
  const { busy, error, run } = useAction();
  const all = source.models.map(({ name }) => name);
  const [models, setModels] = useState(() => all.slice(0, 8));
  const [name, setName] = useState(defaultName);
  const [question, setQuestion] = useState(() => t("ratings.default_question"));
  const [flags, setFlags] = useState({ allow_tie: true, allow_both_bad: true, hide_reward: true });
  const available = models.length < 2 ? 0 : source.available(models);
  const [typed, setTyped] = useState<Typed>(() => {
    const items = Math.min(source.available(all.slice(0, 8)), 200);
    return { items: String(items), pairs_per_item: "1", repeats: String(Math.floor(items / 10)), seed: "0" };
  });
  const form: RatingForm = {
    name,
    question,
    models,
    items: number(typed.items),
    pairs_per_item: number(typed.pairs_per_item),
    repeats: number(typed.repeats),
    seed: number(typed.seed),
    ...flags,
  };
  const problems = formProblems(form, available);
  const pairs = modelPairs(models).length;
  const problemOf = (field: (typeof problems)[number], values = {}) =>
    problems.includes(field) ? t(`ratings.problem_${field}`, values) : undefined;
  const field = (key: keyof Typed, help: string, error: string | undefined) => (
    <TextInput
      label={t(`ratings.${key}`)}
      description={help}
      value={typed[key]}
      inputMode="numeric"
      error={error}
      onChange={(event) => setTyped({ ...typed, [key]: event.currentTarget.value })}
    />
  );
  const flag = (key: keyof typeof flags) => (
    <Switch
      label={t(`ratings.${key}`)}
      description={t(`ratings.${key}_help`)}
      checked={flags[key]}
      onChange={(event) => setFlags({ ...flags, [key]: event.currentTarget.checked })}
    />
  );
  const submit = () =>
    run(async () => {
      const record = recordFrom(form, source, crypto.randomUUID(), Date.now());
      await create(record);
      await navigate(`/ratings/${record.session.id}`);
    });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (problems.length === 0) void submit();
      }}
    >
      <Stack gap="lg">
        <Section title={t("ratings.what")}>
          <Stack gap="md">
            <Checkbox.Group
              label={t("ratings.models")}
              description={t("ratings.models_help")}
              error={problemOf("models")}
              value={models}
              // In the order of the source, in which the first is the one the others are held against.
              onChange={(chosen) => setModels(all.filter((model) => chosen.includes(model)))}
            >
              <Group gap="lg" mt={8}>
                {all.map((model) => (
                  <Checkbox key={model} value={model} label={model} />
                ))}
              </Group>
            </Checkbox.Group>
            <TextInput
              label={t("ratings.question")}
              description={t("ratings.question_help")}
              value={question}
              maxLength={1000}
              error={problemOf("question")}
              onChange={(event) => setQuestion(event.currentTarget.value)}
            />
            <TextInput
              label={t("ratings.name")}
              description={t("ratings.name_help")}
              value={name}
              maxLength={200}
              error={problemOf("name")}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <div className="ng-ratings-fields">
              {field(
                "items",
                t("ratings.items_help", { count: format.count(available) }),
                problemOf("items", { count: available }),
              )}
              {pairs > 1 &&
                field(
                  "pairs_per_item",
                  t("ratings.pairs_help", { count: pairs }),
                  problemOf("pairs_per_item", { count: pairs }),
                )}
              {field("repeats", t("ratings.repeats_help"), problemOf("repeats", { count: repeatLimit(form) }))}
              {field("seed", t("ratings.seed_help"), problemOf("seed"))}
            </div>
            <div className="ng-ratings-fields">
              {flag("allow_tie")}
              {flag("allow_both_bad")}
              {source.rewards.length > 0 && flag("hide_reward")}
            </div>
          </Stack>
        </Section>
        {problems.length === 0 && <PlanCard plan={planOf(form)} pairs={pairs} repeats={form.repeats} />}
        {error !== null && <ErrorPanel error={error} />}
        <Group gap="sm">
          <Button type="submit" size="md" loading={busy} disabled={problems.length > 0}>
            {t("ratings.create")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
