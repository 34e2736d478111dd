/** A button for one or several files, with the names of those that were chosen. */
import { Button, FileButton, Stack, Text } from "@mantine/core";
import { IconFolderOpen } from "@tabler/icons-react";

export interface FileDropProps {
  readonly label: string;
  readonly help?: string;
  readonly accept: string;
  readonly names?: readonly string[];
  readonly busy?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}

export function FileDrop({ label, help, accept, names = [], busy = false, onFiles }: FileDropProps) {
  return (
    <Stack gap={6} align="flex-start">
      <FileButton multiple accept={accept} onChange={onFiles} inputProps={{ "aria-label": label }}>
        {(props) => (
          <Button {...props} variant="default" loading={busy} leftSection={<IconFolderOpen size={16} aria-hidden />}>
            {label}
          </Button>
        )}
      </FileButton>
      {names.length > 0 && <Text size="sm">{names.join(", ")}</Text>}
      {help !== undefined && (
        <Text size="sm" c="dimmed" maw={720}>
          {help}
        </Text>
      )}
    </Stack>
  );
}
