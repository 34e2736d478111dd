/** Closing the loop: votes become pairs, pairs train another reward model or the model itself. */
import { Anchor, Button, Group, Modal, Select, Stack, Text } from "@mantine/core";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import type { RunConfig } from "../../shared/protocol/config";
import { type PairRule, pairsFromVotes } from "../../shared/ratings/preferences";
import { useArtefacts } from "../../stores/artefacts";
import { useEnvironment } from "../../stores/environment";
import { usePipelines } from "../../stores/pipelines";
import { makePairs } from "../../stores/rating-pairs";
import { type Rating, votesOf } from "../../stores/ratings";
import { useRuns } from "../../stores/runs";
import { ErrorPanel } from "../common/ErrorPanel";
import { Facts, Section } from "../common/Page";
import { useAction } from "../common/use-action";
import { useFormat } from "../common/use-format";
import { JudgeComparisonCard } from "./JudgeComparisonCard";
import { dpoOnVotes, type Origin, rewardOnVotes } from "./retrain";

const SHARES = [0, 0.1, 0.2, 0.3] as const;
type Goal = "reward" | "dpo";

export function TrainTab({ rating }: { readonly rating: Rating }) {
  const { t } = useTranslation();
  const format = useFormat();
  const webgpu = useEnvironment((state) => state.webgpu);
  const [rule, setRule] = useState<PairRule>("majority");
  const [share, setShare] = useState(0.2);
  const [goal, setGoal] = useState<Goal | null>(null);
  const making = useAction();
  const { session, made } = rating.record;
  const voted = useMemo(() => pairsFromVotes(session, votesOf(rating), rule, share), [session, rating, rule, share]);
  const none = voted.pairs.length === 0;
  const noGpu = webgpu !== "available" && webgpu !== "unknown";
  return (
    <Stack gap="lg">
      <Section title={t("loop.pairs")} help={t("loop.pairs_help")}>
        <Stack gap="md">
          <Group gap="md" align="flex-end">
            <Select
              label={t("loop.rule")}
              w={300}
              allowDeselect={false}
              value={rule}
              onChange={(value) => setRule(value === "vote" ? "vote" : "majority")}
              data={[
                { value: "majority", label: t("loop.rule_majority") },
                { value: "vote", label: t("loop.rule_vote") },
              ]}
            />
            <Select
              label={t("loop.held_out")}
              w={220}
              allowDeselect={false}
              value={String(share)}
              onChange={(value) => setShare(Number(value))}
              data={SHARES.map((one) => ({
                value: String(one),
                label: t("loop.share", { percent: Math.round(one * 100) }),
              }))}
            />
          </Group>
          <Facts
            columns
            facts={[
              { label: t("loop.pair_count"), value: format.count(voted.pairs.length) },
              { label: t("loop.held_out_items"), value: format.count(voted.held_out.length) },
              { label: t("loop.unusable"), value: format.count(voted.unusable) },
            ]}
          />
          <Group gap="xs">
            <Button disabled={none || noGpu} onClick={() => setGoal("reward")}>
              {t("loop.reward")}
            </Button>
            <Button disabled={none || noGpu} onClick={() => setGoal("dpo")}>
              {t("loop.dpo")}
            </Button>
            <Button
              variant="default"
              disabled={none}
              loading={making.busy}
              onClick={() =>
                void making.run(
                  async () => void (await makePairs(rating, voted, t("loop.pairs_name", { name: session.name }))),
                )
              }
            >
              {t("loop.only_pairs")}
            </Button>
          </Group>
          {none && <Text size="sm">{t("loop.none")}</Text>}
          {noGpu && <Text size="sm">{t("reward.start_no_gpu")}</Text>}
          {making.error !== null && <ErrorPanel error={making.error} />}
          {made.length > 0 && (
            <div>
              <Text size="sm" fw={600}>
                {t("loop.made")}
              </Text>
              <ul className="ng-ballots">
                {made.map(({ artefact, pairs, created, held_out }) => (
                  <li key={artefact}>
                    <Anchor component={Link} to={`/artefacts/${artefact}`} size="sm">
                      {t("loop.made_one", { pairs: format.count(pairs), held: held_out.length })}
                    </Anchor>{" "}
                    {format.time(created)}
                  </li>
                ))}
              </ul>
            </div>
          )}
        </Stack>
      </Section>
      <JudgeComparisonCard rating={rating} />
      {goal !== null && <StartModal rating={rating} goal={goal} voted={voted} onClose={() => setGoal(null)} />}
    </Stack>
  );
}

interface StartProps {
  readonly rating: Rating;
  readonly goal: Goal;
  readonly voted: ReturnType<typeof pairsFromVotes>;
  readonly onClose: () => void;
}

function StartModal({ rating, goal, voted, onClose }: StartProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const artefacts = useArtefacts((state) => state.artefacts);
  const runs = useRuns((state) => state.runs);
  const { create, run: runPipeline } = usePipelines.getState();
  const { busy, error, run } = useAction();
  const { session, models, rewards } = rating.record;
  const [model, setModel] = useState(models[0]?.name ?? "");
  const origin: Origin = {
    artefacts,
    configOf: ({ run_id }) => runs.find((one) => one.run_id === run_id)?.config,
  };
  const record = (id: string | null | undefined) => artefacts.find((one) => one.id === id);
  const configFor = (pairs: string): RunConfig => {
    const name = t(`loop.${goal}_name`, { name: session.name }).slice(0, 120);
    if (goal === "reward") return rewardOnVotes(name, pairs, record(rewards[0]?.source), origin);
    const chosen = models.find((one) => one.name === model);
    return dpoOnVotes(name, pairs, chosen, rewards, record(session.parents[0]?.id), origin);
  };
  const start = () =>
    run(async () => {
      const { id } = await makePairs(rating, voted, t("loop.pairs_name", { name: session.name }));
      const created = await create(configFor(id), { reuse: false });
      await runPipeline(created.pipeline_id);
      await navigate(`/pipelines/${created.pipeline_id}`);
    });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t(`loop.${goal}`)}
      closeButtonProps={{ "aria-label": t("common.close") }}
      centered
    >
      <Stack gap="md">
        <Text size="sm">{t(`loop.${goal}_text`, { pairs: voted.pairs.length, held: voted.held_out.length })}</Text>
        {goal === "dpo" && (
          <Select
            label={t("loop.policy")}
            description={t("loop.policy_help")}
            allowDeselect={false}
            value={model}
            onChange={(value) => value !== null && setModel(value)}
            data={models.map(({ name }) => name)}
          />
        )}
        {error !== null && <ErrorPanel error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            {t("common.cancel")}
          </Button>
          <Button loading={busy} onClick={() => void start()} data-autofocus>
            {t("common.start")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
