import { expose, wrap } from "comlink";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { installErrorTransfer } from "./comlink-errors";
import { NagiError } from "./errors";

const service = {
  async quota(): Promise<void> {
    throw new NagiError("storage.quota", "full", { needed: 5, available: null });
  },
  async plain(): Promise<void> {
    throw new TypeError("x is undefined");
  },
};

describe("errors across comlink", () => {
  const ports: MessagePort[] = [];
  beforeAll(() => installErrorTransfer());
  afterEach(() => {
    for (const port of ports.splice(0)) port.close();
  });

  function connect() {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1, port2);
    expose(service, port1);
    return wrap<typeof service>(port2);
  }

  it("keep code, message and details", async () => {
    const error = await connect()
      .quota()
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NagiError);
    expect((error as NagiError).toData()).toEqual({
      code: "storage.quota",
      message: "full",
      details: { needed: 5, available: null },
    });
  });

  it("turn anything else into an internal one with its message", async () => {
    const error = await connect()
      .plain()
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NagiError);
    expect((error as NagiError).code).toBe("internal");
    expect((error as NagiError).message).toBe("x is undefined");
  });
});
