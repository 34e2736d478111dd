/** The settings of training: a few in sight, the rest one click away; each with one line on what it does. */
import { Button, Collapse, Select, SimpleGrid, Stack, Switch, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { lrSchedulerType, rewardObjective } from "../../shared/protocol/config";
import { useRangeText } from "../common/range-text";
import { ADVANCED_FIELDS, BASIC_FIELDS, type Checked, type Draft, type NumberField, rangeOf } from "./form";
import { useProblemText } from "./problem-text";

export interface HyperParametersProps {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly problems: Checked["problems"];
}

export function HyperParameters({ draft, change, problems }: HyperParametersProps) {
  const { t } = useTranslation();
  const [open, { toggle }] = useDisclosure();
  const id = useId();
  const hidden = ADVANCED_FIELDS.filter((field) => problems.has(field)).length;
  const field = (name: NumberField) => (
    <TypedNumber
      key={name}
      name={name}
      value={draft.numbers[name]}
      problem={problems.get(name)}
      onChange={(value) => change({ numbers: { ...draft.numbers, [name]: value } })}
    />
  );
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
        <Select
          label={t("reward.objective_label")}
          description={t(`reward.objective_help.${draft.objective}`)}
          data={rewardObjective.options.map((value) => ({ value, label: t(`reward.objective.${value}`) }))}
          value={draft.objective}
          allowDeselect={false}
          onChange={(value) => {
            const parsed = rewardObjective.safeParse(value);
            if (parsed.success) change({ objective: parsed.data });
          }}
        />
        {BASIC_FIELDS.map(field)}
      </SimpleGrid>
      <div>
        <Button
          variant="subtle"
          size="compact-md"
          ml={-8}
          onClick={toggle}
          aria-expanded={open}
          aria-controls={id}
          rightSection={open ? <IconChevronUp size={16} aria-hidden /> : <IconChevronDown size={16} aria-hidden />}
        >
          {t("reward.advanced")}
        </Button>
        {!open && hidden > 0 && (
          <Text size="sm" c="var(--mantine-color-error)" component="span" role="status">
            {t("reward.advanced_problems", { count: hidden })}
          </Text>
        )}
      </div>
      <Collapse expanded={open} id={id}>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
          <Select
            label={t("reward.scheduler_label")}
            description={t("reward.scheduler_help")}
            data={lrSchedulerType.options.map((value) => ({ value, label: t(`reward.scheduler.${value}`) }))}
            value={draft.lr_scheduler_type}
            allowDeselect={false}
            onChange={(value) => {
              const parsed = lrSchedulerType.safeParse(value);
              if (parsed.success) change({ lr_scheduler_type: parsed.data });
            }}
          />
          {ADVANCED_FIELDS.map(field)}
          <Switch
            label={t("fields.gradient_checkpointing.label")}
            description={t("fields.gradient_checkpointing.help")}
            checked={draft.kept.gradient_checkpointing}
            onChange={({ currentTarget: { checked } }) =>
              change({ kept: { ...draft.kept, gradient_checkpointing: checked } })
            }
          />
        </SimpleGrid>
      </Collapse>
    </Stack>
  );
}

interface TypedNumberProps {
  readonly name: NumberField;
  readonly value: string;
  readonly problem: ReturnType<Checked["problems"]["get"]>;
  readonly onChange: (value: string) => void;
}

function TypedNumber({ name, value, problem, onChange }: TypedNumberProps) {
  const { t } = useTranslation();
  const rangeText = useRangeText();
  const problemText = useProblemText();
  return (
    <TextInput
      label={t(`fields.${name}.label`)}
      description={`${t(`fields.${name}.help`)} (${rangeText(rangeOf(name))})`}
      inputMode="decimal"
      autoComplete="off"
      spellCheck={false}
      classNames={{ input: "ng-numeric" }}
      value={value}
      error={problem === undefined ? null : problemText(name, problem)}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
