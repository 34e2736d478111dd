/** One setting, drawn by what the schema says it is. */
import { Checkbox, Group, Select, Stack, Switch, Textarea, TextInput } from "@mantine/core";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { DEFAULT_LORA } from "../../shared/protocol/defaults";
import { type Draft, encode, isList, isObject, valueAt } from "./draft";
import { useDraft } from "./draft-context";
import { type FieldProps, useFieldProps } from "./field-props";
import { useOptionText } from "./field-text";
import { DataField, PairsField, SlotField, SlotsField } from "./ReferenceFields";
import { alternatives, isNullable, numberNode, optionsOf } from "./schema";

/** What a group that was off starts with. */
const GROUP_DEFAULTS: Readonly<Record<string, Draft>> = {
  peft: encode({ ...DEFAULT_LORA }),
  rows: { part: "0", of: "2" },
};

export function Field(props: FieldProps) {
  const { draft } = useDraft();
  const value = valueAt(draft, props.path);
  switch (props.field) {
    case "model":
    case "reward_model":
    case "adapter":
      return <SlotField {...props} />;
    case "models":
    case "reward_models":
      return <SlotsField {...props} />;
    case "data":
      return <DataField {...props} />;
    case "pairs":
      return <PairsField {...props} />;
    case "template":
      return <TextField {...props} value={String(value ?? "")} />;
  }
  const kinds = alternatives(props.node).map(({ type }) => type);
  if (kinds.includes("object")) return <GroupField {...props} />;
  if (kinds.includes("array")) return <ListField {...props} value={isList(value) ? value.map(String) : []} />;
  if (numberNode(props.node) !== undefined) return <NumberField {...props} value={value ?? null} />;
  if (optionsOf(props.node).length > 0) return <OptionField {...props} value={value ?? null} />;
  if (kinds.includes("boolean")) return <SwitchField {...props} value={value === true} />;
  return <TextField {...props} value={String(value ?? "")} />;
}

function NumberField({ value, ...props }: FieldProps & { readonly value: Draft }) {
  const { t } = useTranslation();
  const { set } = useDraft();
  const shared = useFieldProps(props);
  const optionText = useOptionText();
  const nullable = isNullable(props.node);
  const [word] = optionsOf(props.node);
  const automatic = word !== undefined && value === word;
  return (
    <div>
      <TextInput
        {...shared}
        inputMode="decimal"
        autoComplete="off"
        spellCheck={false}
        classNames={{ input: "ng-numeric" }}
        placeholder={nullable ? t("pipeline.off") : ""}
        disabled={automatic}
        value={automatic ? optionText(props.field, word) : String(value ?? "")}
        onChange={({ currentTarget: { value: typed } }) =>
          set(props.path, nullable && typed.trim() === "" ? null : typed)
        }
      />
      {typeof word === "string" && (
        <Switch
          mt={6}
          size="xs"
          label={optionText(props.field, word)}
          checked={automatic}
          onChange={(event) => set(props.path, event.currentTarget.checked ? word : "0")}
        />
      )}
    </div>
  );
}

function OptionField({ value, ...props }: FieldProps & { readonly value: Draft }) {
  const { set } = useDraft();
  const shared = useFieldProps(props);
  const optionText = useOptionText();
  const options = optionsOf(props.node);
  return (
    <Select
      {...shared}
      data={options.map((option) => ({ value: String(option), label: optionText(props.field, option) }))}
      value={String(value)}
      allowDeselect={false}
      onChange={(chosen) => {
        const option = options.find((candidate) => String(candidate) === chosen);
        if (option !== undefined) set(props.path, option);
      }}
    />
  );
}

function SwitchField({ value, ...props }: FieldProps & { readonly value: boolean }) {
  const { set } = useDraft();
  return (
    <Switch
      {...useFieldProps(props)}
      mt={26}
      checked={value}
      onChange={(event) => set(props.path, event.currentTarget.checked)}
    />
  );
}

function TextField({ value, ...props }: FieldProps & { readonly value: string }) {
  const { set } = useDraft();
  return (
    <Textarea
      {...useFieldProps(props)}
      autosize
      minRows={1}
      maxRows={6}
      value={value}
      onChange={(event) => set(props.path, event.currentTarget.value)}
    />
  );
}

function ListField({ value, ...props }: FieldProps & { readonly value: readonly string[] }) {
  const { set } = useDraft();
  const shared = useFieldProps(props);
  const options = optionsOf(alternatives(props.node).find(({ items }) => items !== undefined)?.items ?? {});
  return (
    <Checkbox.Group
      {...shared}
      className="ng-wide"
      value={[...value]}
      onChange={(chosen) =>
        // In the schema's order, whatever was ticked first.
        set(
          props.path,
          options.map(String).filter((option) => chosen.includes(option)),
        )
      }
    >
      <Group gap="md" my={6}>
        {options.map((option) => (
          <Checkbox key={String(option)} value={String(option)} size="xs" label={<code>{String(option)}</code>} />
        ))}
      </Group>
    </Checkbox.Group>
  );
}

/** Settings that belong together; where they may be left out, a switch turns them on. */
function GroupField(props: FieldProps) {
  const { draft, set } = useDraft();
  const id = useId();
  const shared = useFieldProps(props);
  const value = valueAt(draft, props.path);
  const node = alternatives(props.node).find(({ properties }) => properties !== undefined);
  const on = isObject(value);
  return (
    <Stack component="fieldset" gap="sm" className="ng-fieldset ng-wide" aria-describedby={id}>
      <legend>{shared.label}</legend>
      <div id={id} className="ng-fieldset-help">
        {shared.description}
      </div>
      {isNullable(props.node) && (
        <Switch
          size="xs"
          label={shared.label}
          checked={on}
          onChange={(event) =>
            set(props.path, event.currentTarget.checked ? (GROUP_DEFAULTS[props.field] ?? null) : null)
          }
        />
      )}
      {on && (
        <div className="ng-fields">
          {Object.entries(node?.properties ?? {}).map(([name, inner]) => (
            <Field key={name} path={`${props.path}.${name}`} field={`${props.field}.${name}`} node={inner} />
          ))}
        </div>
      )}
    </Stack>
  );
}
