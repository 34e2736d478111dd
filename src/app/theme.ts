/** Nagi's looks: the colours of a calm sea, one accent, plenty of paper. Every text colour keeps 4.5:1 (checked by e2e). */
import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const sea: MantineColorsTuple = [
  "#eef6f8",
  "#d9e9ee",
  "#b5d3dc",
  "#8bbac9",
  "#64a2b6",
  "#438ba3",
  "#2b7590",
  "#1d6078",
  "#164e62",
  "#103c4d",
];
const dark: MantineColorsTuple = [
  "#dbe3e7",
  "#bcc8ce",
  "#98a7af",
  "#74858e",
  "#3c4a53",
  "#2d3941",
  "#202a31",
  "#151c21",
  "#10161a",
  "#0b1013",
];

const SANS =
  '"Hiragino Sans", "Hiragino Kaku Gothic ProN", "Noto Sans JP", "Noto Sans CJK JP", "Yu Gothic UI", "Yu Gothic Medium", Meiryo, system-ui, sans-serif';

/** Help below the field, so that fields of one row stand on one line however long their help is. */
const INPUT_ORDER = ["label", "input", "description", "error"];

export const theme = createTheme({
  primaryColor: "sea",
  primaryShade: { light: 7, dark: 6 },
  colors: { sea, dark },
  fontFamily: SANS,
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "Noto Sans Mono CJK JP", Menlo, Consolas, monospace',
  headings: {
    fontFamily: SANS,
    fontWeight: "650",
    sizes: {
      h1: { fontSize: "1.5rem", lineHeight: "1.4" },
      h2: { fontSize: "1.0625rem", lineHeight: "1.5" },
      h3: { fontSize: "0.9375rem", lineHeight: "1.5" },
    },
  },
  defaultRadius: "sm",
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "auto",
  components: {
    TextInput: { defaultProps: { inputWrapperOrder: INPUT_ORDER } },
    // In place rather than at the end of the page, so that an open list lies inside the main landmark.
    Select: { defaultProps: { inputWrapperOrder: INPUT_ORDER, comboboxProps: { withinPortal: false } } },
    Textarea: { defaultProps: { inputWrapperOrder: INPUT_ORDER } },
    MultiSelect: { defaultProps: { inputWrapperOrder: INPUT_ORDER, comboboxProps: { withinPortal: false } } },
    FileInput: { defaultProps: { inputWrapperOrder: INPUT_ORDER } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true } },
    Modal: { defaultProps: { transitionProps: { duration: 120 } } },
    Table: { defaultProps: { verticalSpacing: 7 } },
  },
});

/** Mantine's own greys for dimmed text and errors are below AA on its backgrounds; ours are not. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-body": "#f7f9fa",
    "--mantine-color-text": "#17232a",
    "--mantine-color-dimmed": "#52626b",
    "--mantine-color-placeholder": "#64747d",
    "--mantine-color-error": "#b3261e",
    "--mantine-color-anchor": "#1d6078",
    "--mantine-color-default-border": "#c9d3d8",
  },
  dark: {
    "--mantine-color-body": "#10161a",
    "--mantine-color-text": "#dbe3e7",
    "--mantine-color-dimmed": "#98a7af",
    "--mantine-color-placeholder": "#82929b",
    "--mantine-color-error": "#ff9a8f",
    "--mantine-color-anchor": "#8bbac9",
    "--mantine-color-default-border": "#3c4a53",
  },
});
