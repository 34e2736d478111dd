/** The frame of every screen: one heading, an optional lead, actions on the right; and sections below it. */
import { Group, Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect, useId } from "react";
import { useTranslation } from "react-i18next";
import "./common.css";

export interface PageProps {
  readonly title: string;
  readonly lead?: string;
  readonly actions?: ReactNode;
  /** Above the heading: the way back to where this page was opened from. */
  readonly back?: ReactNode;
  readonly children: ReactNode;
}

export function Page({ title, lead, actions, back, children }: PageProps) {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${title} | ${t("app.name")}`;
  }, [title, t]);
  return (
    <Stack gap="lg" className="ng-page">
      <Group justify="space-between" align="flex-end" gap="md">
        <div className="ng-page-head">
          {back}
          <Title order={1}>{title}</Title>
          {lead !== undefined && (
            <Text c="dimmed" mt={4} maw={760}>
              {lead}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}

export interface SectionProps {
  readonly title: string;
  readonly help?: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

export function Section({ title, help, actions, children }: SectionProps) {
  const id = useId();
  return (
    <Paper component="section" aria-labelledby={id} className="ng-section">
      <Group justify="space-between" align="flex-start" gap="sm" mb="sm">
        <div className="ng-section-head">
          <Title order={2} id={id}>
            {title}
          </Title>
          {help !== undefined && (
            <Text size="sm" c="dimmed" mt={2} maw={720}>
              {help}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Paper>
  );
}

export interface Fact {
  readonly label: string;
  readonly value: ReactNode;
}

/** Names and values, read as a list of terms. */
export function Facts({ facts, columns = false }: { readonly facts: readonly Fact[]; readonly columns?: boolean }) {
  return (
    <dl className={columns ? "ng-facts ng-facts-columns" : "ng-facts"}>
      {facts.map((fact) => (
        <div key={fact.label}>
          <dt>{fact.label}</dt>
          <dd>{fact.value}</dd>
        </div>
      ))}
    </dl>
  );
}
