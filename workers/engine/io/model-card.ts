/**
 * The credit of a model in its folder: read from `nagi_credit.json`, which Nagi writes, or from the model card, a licence
 * file and config.json; and written, with a card that Hugging Face understands, beside everything that is made of it.
 */
import {
  type CreditFacts,
  creditOf,
  licenseName,
  licenseUrl,
  type ModelCredit,
  modelCredit,
} from "../../../src/shared/credit";
import type { FileSource } from "./source";

/** In every folder of a model or adapter that Nagi has written or fetched; Python reads and writes it too. */
export const CREDIT = "nagi_credit.json";
export const CARD = "README.md";
/** Names under which licence texts are found. */
export const LICENSE_FILES = ["LICENSE", "LICENSE.txt", "LICENSE.md"] as const;

/** Bytes of a card or licence that are looked at. */
const LOOK = 64 << 10;

/** First lines that tell a licence. */
const TEXTS: readonly (readonly [pattern: RegExp, license: string])[] = [
  [/Attribution-NonCommercial-ShareAlike 4\.0/i, "cc-by-nc-sa-4.0"],
  [/Attribution-NonCommercial 4\.0/i, "cc-by-nc-4.0"],
  [/Attribution-ShareAlike 4\.0|CC BY-SA 4\.0/i, "cc-by-sa-4.0"],
  [/Attribution 4\.0|CC BY 4\.0/i, "cc-by-4.0"],
  [/CC0 1\.0/i, "cc0-1.0"],
  [/Apache License\s+Version 2\.0/i, "apache-2.0"],
  [/\bMIT License\b/i, "mit"],
];

async function lookAt(source: FileSource, path: string): Promise<string> {
  return new TextDecoder().decode(await source.read(path, 0, LOOK));
}

/** A field of a card's front matter, or the first entry of its list; null where there is none. */
export function frontMatter(card: string, field: string): string | null {
  const block = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1];
  const found = block === undefined ? null : new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(block);
  if (!block || !found) return null;
  const listed = /^[ \t]*\n?[ \t]*-[ \t]*(.+)$/m.exec(
    block.slice(found.index + found[0].length).split(/\n(?=\w)/)[0] ?? "",
  );
  const value = (found[1] ?? "").trim() || (listed?.[1] ?? "").trim();
  const plain =
    value
      .replace(/^\[\s*/, "")
      .split(/[,\]]/)[0]
      ?.trim() ?? "";
  return plain.replace(/^(["'])(.*)\1$/, "$2").slice(0, 200) || null;
}

/** What the folder says of its licence, in Hugging Face's identifier; null where it says nothing. */
async function licenseIn(source: FileSource, found: readonly string[]): Promise<string | null> {
  const said = found.includes(CARD) ? frontMatter(await lookAt(source, CARD), "license") : null;
  if (said !== null) return said.toLowerCase();
  const file = LICENSE_FILES.find((name) => found.includes(name));
  if (file === undefined) return null;
  const text = (await lookAt(source, file)).slice(0, 2000);
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}

async function jsonIn(source: FileSource, found: readonly string[], path: string): Promise<unknown> {
  if (!found.includes(path)) return null;
  try {
    return JSON.parse(await lookAt(source, path));
  } catch {
    return null;
  }
}

/**
 * The credit of the model in a folder. @param known what whoever fetched it knows better, its name above all
 * Rejects with model.file_missing where a listed file cannot be read.
 */
export async function readCredit(source: FileSource, known: Partial<CreditFacts> = {}): Promise<ModelCredit> {
  const found = await source.list();
  const own = modelCredit.safeParse(await jsonIn(source, found, CREDIT));
  if (own.success) return own.data;
  const config = await jsonIn(source, found, "config.json");
  const called =
    typeof config === "object" && config !== null && "_name_or_path" in config ? config._name_or_path : null;
  const alias = typeof called === "string" ? called : null;
  const license = known.license ?? (await licenseIn(source, found));
  const name = (known.name ?? source.name).slice(0, 200) || "model";
  return creditOf({ name, license, url: known.url ?? null, alias });
}

export interface CardFacts {
  readonly credit: ModelCredit;
  readonly kind: "adapter" | "model" | "merged" | "reward_model";
  /** What was done, in a sentence: licences ask for changes to be said. */
  readonly change: string;
}

const RELATION = { adapter: "adapter", model: "finetune", merged: "merge", reward_model: "finetune" } as const;
const TITLE = {
  adapter: "LoRA adapter",
  model: "Language model",
  merged: "Language model with its adapter merged",
  reward_model: "Reward model",
} as const;

/** README.md and nagi_credit.json for a folder that was made of a model. */
export function creditFiles(facts: CardFacts): Map<string, Uint8Array<ArrayBuffer>> {
  const encode = (text: string) => new TextEncoder().encode(text);
  return new Map([
    [CARD, encode(modelCard(facts))],
    [CREDIT, encode(`${JSON.stringify(facts.credit, null, 2)}\n`)],
  ]);
}

function modelCard({ credit, kind, change }: CardFacts): string {
  const { name, license, holder, url } = credit;
  const link = url === null ? name : `[${name}](${url})`;
  const text = license === null ? null : licenseUrl(license);
  const named = license === null || text === null ? license : `[${licenseName(license)}](${text})`;
  const under =
    named === null ? "Its licence is not known: ask its authors before you pass this on." : `Its licence is ${named}.`;
  const alike = license?.includes("-sa-") ? " What is made of it may be passed on under the same licence only." : "";
  const lines = [
    "---",
    ...(license === null ? [] : [`license: ${license}`]),
    // Names on the hub only: anything else is no repository.
    ...(url === null ? [] : [`base_model: ${name}`, `base_model_relation: ${RELATION[kind]}`]),
    `library_name: ${kind === "adapter" ? "peft" : "transformers"}`,
    "tags:",
    "- nagi",
    "---",
    "",
    `# ${TITLE[kind]} on ${name}`,
    "",
    `Made with Nagi. ${change}`,
    "",
    "## Licence and attribution",
    "",
    `The base model is ${link}${holder === null ? "" : ` by ${holder}`}. ${under}${alike}`,
    "",
  ];
  return lines.join("\n");
}
