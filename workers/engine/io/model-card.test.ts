import { describe, expect, it } from "vitest";
import { creditLine, creditOf, modelCredit } from "../../../src/shared/credit";
import { CARD, CREDIT, creditFiles, frontMatter, readCredit } from "./model-card";
import { MapSource } from "./source";

const folder = (files: Readonly<Record<string, string>>, name = "some-model") =>
  new MapSource(name, new Map(Object.entries(files).map(([path, text]) => [path, new TextEncoder().encode(text)])));

const OPEN_CALM = {
  name: "cyberagent/open-calm-small",
  license: "cc-by-sa-4.0",
  holder: "CyberAgent, Inc.",
  url: "https://huggingface.co/cyberagent/open-calm-small",
};

describe("the credit of a model", () => {
  it.each([
    ["---\nlicense: cc-by-sa-4.0\nlanguage: ja\n---\n# x", "cc-by-sa-4.0"],
    ['---\r\nlanguage: ja\r\nlicense: "MIT"\r\n---\r\n', "MIT"],
    ["---\nlicense:\n- apache-2.0\n- mit\ntags:\n- x\n---\n", "apache-2.0"],
    ["---\nlicense: [cc0-1.0, mit]\n---\n", "cc0-1.0"],
    ["---\nlicense:\ntags:\n- x\n---\n", null],
    ["# a card\nlicense: mit\n", null],
  ])("front matter %j", (card, license) => {
    expect(frontMatter(card, "license")).toBe(license);
  });

  it("comes from the card, else from a licence file, else from what is known of the name", async () => {
    const card = { [CARD]: "---\nlicense: cc-by-4.0\n---\n" };
    expect(await readCredit(folder(card))).toEqual({
      name: "some-model",
      license: "cc-by-4.0",
      holder: null,
      url: null,
    });
    const file = { LICENSE: "                Apache License\n         Version 2.0, January 2004\n" };
    expect((await readCredit(folder(file))).license).toBe("apache-2.0");
    const renamed = { "config.json": '{"_name_or_path": "open-calm-1b"}' };
    expect(await readCredit(folder(renamed))).toMatchObject({ license: "cc-by-sa-4.0", holder: "CyberAgent, Inc." });
    expect(await readCredit(folder({ "config.json": "{" }))).toMatchObject({ license: null, holder: null });
  });

  it("of a hub's model names its owner, of open-calm the company", () => {
    const { name, url, license } = OPEN_CALM;
    expect(creditOf({ name, url, license: null })).toEqual(OPEN_CALM);
    expect(creditOf({ name: "someone/x", url: "https://hub/someone/x", license }).holder).toBe("someone");
    expect(creditLine(OPEN_CALM)).toBe("cyberagent/open-calm-small (CyberAgent, Inc.), CC BY-SA 4.0");
  });
});

describe("what is made of a model", () => {
  it("carries its licence and whom to name, through any number of stages", async () => {
    let credit = modelCredit.parse(OPEN_CALM);
    for (const kind of ["adapter", "merged", "reward_model"] as const) {
      const files = creditFiles({ credit, kind, change: "Changed." });
      const card = new TextDecoder().decode(files.get(CARD));
      expect(frontMatter(card, "license")).toBe("cc-by-sa-4.0");
      expect(frontMatter(card, "base_model")).toBe("cyberagent/open-calm-small");
      expect(card).toContain("by CyberAgent, Inc.");
      expect(card).toContain("https://creativecommons.org/licenses/by-sa/4.0/");
      expect([...files.keys()]).toEqual([CARD, CREDIT]);
      credit = await readCredit(new MapSource("made", files));
      expect(credit).toEqual(OPEN_CALM);
    }
  });

  it("says when the licence is not known", () => {
    const credit = creditOf({ name: "x", license: null, url: null });
    const card = new TextDecoder().decode(creditFiles({ credit, kind: "model", change: "Changed." }).get(CARD));
    expect(frontMatter(card, "license")).toBeNull();
    expect(frontMatter(card, "base_model")).toBeNull();
    expect(card).toContain("not known");
  });
});
