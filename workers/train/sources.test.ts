import { describe, expect, it } from "vitest";
import { NagiError } from "../../src/shared/errors";
import { MemoryDirectory } from "../engine/io/memory-directory";
import { Folder } from "../engine/io/opfs";
import { Sources } from "./sources";

const BASE = new URL("http://localhost/studio/");

function sources(answer: (url: string) => Response | Promise<Response>) {
  const asked: string[] = [];
  const fetcher: typeof fetch = async (input) => {
    const url = String(input);
    asked.push(url);
    return answer(url);
  };
  const folder = (name: string) => new Folder(new MemoryDirectory(name), name);
  return { asked, made: new Sources(folder("datasets"), folder("models"), BASE, fetcher) };
}

async function errorOf(promise: Promise<unknown>): Promise<NagiError> {
  const error = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof NagiError) return error;
  throw new Error(`no NagiError: ${String(error)}`);
}

describe("bundled references", () => {
  it("are files below the page's own folder", async () => {
    const { made, asked } = sources(() => new Response("line"));
    const file = await made.data("bundled:reviews-ja/train");
    expect(file.name).toBe("reviews-ja/train.jsonl");
    expect(new TextDecoder().decode(file.bytes)).toBe("line");
    await (await made.model("bundled:nagi-base")).read("config.json");
    expect(asked).toEqual([
      "http://localhost/studio/datasets/reviews-ja/train.jsonl",
      "http://localhost/studio/models/nagi-base/config.json",
    ]);
  });

  it("that do not exist are refused without asking the server", async () => {
    const { made, asked } = sources(() => new Response("line"));
    for (const reference of ["bundled:../secret", "bundled:reviews-ja", "nothing", ""]) {
      expect((await errorOf(made.data(reference))).code).toBe("data.unreadable");
      expect((await errorOf(made.model(reference))).code).toBe("model.file_missing");
    }
    expect(asked).toEqual([]);
  });

  it("are not taken for data when the server answers with its page, an error or nothing", async () => {
    const page = () => new Response("<html>", { headers: { "content-type": "text/html; charset=utf-8" } });
    for (const answer of [
      page,
      () => new Response("", { status: 404 }),
      () => Promise.reject(new TypeError("offline")),
    ]) {
      expect((await errorOf(sources(answer).made.data("bundled:reviews-ja/test"))).code).toBe("data.unreadable");
    }
  });
});

describe("imported references", () => {
  it("that are not on this machine say so", async () => {
    const { made, asked } = sources(() => new Response("line"));
    for (const reference of ["imported:none/train", "imported:none", "imported:", "imported:../train"]) {
      expect((await errorOf(made.data(reference))).code).toBe("data.unreadable");
    }
    expect((await errorOf(made.model("imported:none"))).code).toBe("model.file_missing");
    expect(asked).toEqual([]);
  });
});
