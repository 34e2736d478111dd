/** The page for what nobody expected. It uses no component of ours that could fail in the same way. */
import { Button, Code, Group, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { isRouteErrorResponse, useRouteError } from "react-router";
import { toErrorData } from "../shared/errors";

export function ErrorBoundary() {
  const error = useRouteError();
  const { t } = useTranslation();
  const missing = isRouteErrorResponse(error) && error.status === 404;
  return (
    <Stack p="xl" maw={720} mx="auto" mt="10vh" component="main">
      <Title order={1}>{t(missing ? "boundary.page_not_found" : "boundary.title")}</Title>
      <Text>{t(missing ? "boundary.page_not_found_text" : "boundary.text")}</Text>
      {!missing && <Code block>{toErrorData(error).message}</Code>}
      <Group>
        {!missing && <Button onClick={() => window.location.reload()}>{t("boundary.reload")}</Button>}
        <Button component="a" href="#/" variant={missing ? "filled" : "default"}>
          {t("boundary.home")}
        </Button>
      </Group>
    </Stack>
  );
}
