/** The settings of the chosen stage: what matters in sight, the rest one click away. */
import { Button, Collapse, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { valueAt } from "./draft";
import { useDraft } from "./draft-context";
import { Field } from "./Field";
import { usePipelineProblemText } from "./field-text";
import { fieldsOf, kindOf } from "./fields";
import { stageNode } from "./schema";

export function StageForm({ index }: { readonly index: number }) {
  const { t } = useTranslation();
  const { draft, checked, changed } = useDraft();
  const problemText = usePipelineProblemText();
  const [open, { toggle }] = useDisclosure();
  const id = useId();
  const path = `stages.${index}`;
  const kind = kindOf(valueAt(draft, path));
  if (kind === null) return null;
  const { basic, advanced } = fieldsOf(kind);
  const properties = stageNode(kind).properties ?? {};
  const field = (name: string) => (
    <Field key={name} path={`${path}.${name}`} field={name} node={properties[name] ?? {}} />
  );
  const inside = (paths: Iterable<string>) =>
    [...paths].filter((one) =>
      advanced.some((name) => one === `${path}.${name}` || one.startsWith(`${path}.${name}.`)),
    );
  const hidden = inside(checked.problems.keys()).length;
  const expanded = open || inside(changed).length > 0;
  const own = checked.pipeline.filter((problem) => problem.path === `${path}.id`);
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">
        {t(`stage_help.${kind}`)}
      </Text>
      {own.map((problem) => (
        <Text key={problem.code} size="sm" c="var(--mantine-color-error)" role="alert">
          {problemText(problem)}
        </Text>
      ))}
      <div className="ng-fields">{basic.map(field)}</div>
      {advanced.length > 0 && (
        <>
          <div>
            <Button
              variant="subtle"
              size="compact-md"
              ml={-8}
              onClick={toggle}
              aria-expanded={expanded}
              aria-controls={id}
              rightSection={
                expanded ? <IconChevronUp size={16} aria-hidden /> : <IconChevronDown size={16} aria-hidden />
              }
            >
              {t("reward.advanced")}
            </Button>
            {!expanded && hidden > 0 && (
              <Text size="sm" c="var(--mantine-color-error)" component="span" role="status">
                {t("reward.advanced_problems", { count: hidden })}
              </Text>
            )}
          </div>
          <Collapse expanded={expanded} id={id}>
            <div className="ng-fields">{advanced.map(field)}</div>
          </Collapse>
        </>
      )}
    </Stack>
  );
}
