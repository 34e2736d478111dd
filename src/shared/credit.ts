/**
 * Whose a model is and under which licence it may be used: shown wherever the model is, and written beside everything
 * that is made of it. Pure.
 */
import { z } from "zod";

export const modelCredit = z.strictObject({
  /** The model's own name: owner/name on its hub, else what it is called here. */
  name: z.string().min(1).max(200),
  /** Hugging Face's identifier ("cc-by-sa-4.0"); null where nobody says. */
  license: z.string().min(1).max(200).nullable(),
  /** Who is to be named ("CyberAgent, Inc."); null where nobody says. */
  holder: z.string().min(1).max(200).nullable(),
  /** The model's page; null where it has none. */
  url: z.string().min(1).max(500).nullable(),
});

export type ModelCredit = z.infer<typeof modelCredit>;

/** Hugging Face's identifiers: the name that people know, and the text. */
const LICENSES: Readonly<Record<string, readonly [name: string, url: string]>> = {
  "apache-2.0": ["Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"],
  "bsd-3-clause": ["BSD 3-Clause", "https://opensource.org/license/bsd-3-clause"],
  "cc-by-4.0": ["CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"],
  "cc-by-nc-4.0": ["CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"],
  "cc-by-nc-sa-4.0": ["CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"],
  "cc-by-sa-4.0": ["CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"],
  "cc0-1.0": ["CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"],
  mit: ["MIT", "https://opensource.org/license/mit"],
};

/** "cc-by-sa-4.0" -> "CC BY-SA 4.0"; an identifier that is not known stays as it is. */
export const licenseName = (license: string): string => LICENSES[license.toLowerCase()]?.[0] ?? license;

/** The licence's text; null where it is not known. */
export const licenseUrl = (license: string): string | null => LICENSES[license.toLowerCase()]?.[1] ?? null;

/** Models that are known by name: their cards say whom to name in a sentence only. */
const KNOWN = [{ names: /^(cyberagent\/)?open-calm-/i, license: "cc-by-sa-4.0", holder: "CyberAgent, Inc." }] as const;

export interface CreditFacts {
  readonly name: string;
  /** What the model's card or licence file says. */
  readonly license: string | null;
  readonly url: string | null;
  /** What config.json calls the model, where a folder was renamed. */
  readonly alias?: string | null;
}

/** The credit from what a card says and what is known; the owner of a repository stands for an unknown holder. */
export function creditOf({ name, license, url, alias = null }: CreditFacts): ModelCredit {
  const known = KNOWN.find(({ names }) => names.test(name) || (alias !== null && names.test(alias)));
  const owner = url !== null && name.includes("/") ? (name.split("/")[0] ?? null) : null;
  return { name, license: license ?? known?.license ?? null, holder: known?.holder ?? owner, url };
}

/** "open-calm-small (CyberAgent, Inc.), CC BY-SA 4.0", with what is known. */
export function creditLine({ name, license, holder }: ModelCredit): string {
  const owned = holder === null ? name : `${name} (${holder})`;
  return license === null ? owned : `${owned}, ${licenseName(license)}`;
}
