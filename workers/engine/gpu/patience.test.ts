import { expect, test } from "vitest";
import { Patience } from "./patience";

const UNIT = 1e8;

/** A clock that sleeping moves. */
function world() {
  let time = 1000;
  const naps: number[] = [];
  const patience = new Patience(
    () => time,
    async (milliseconds) => {
      naps.push(milliseconds);
      time += milliseconds;
    },
  );
  return {
    patience,
    naps,
    pass: (milliseconds: number) => (time += milliseconds),
    slept: () => naps.reduce((a, b) => a + b, 0),
  };
}

/** One measured ticket: `work` took `milliseconds`. */
function learn({ patience, pass }: ReturnType<typeof world>, work: number, milliseconds: number): void {
  patience.submitted(work * UNIT);
  const ticket = patience.ticket();
  pass(milliseconds);
  patience.done(ticket);
}

/** Three measured tickets of 4 ms a unit. */
function taught(): ReturnType<typeof world> {
  const it = world();
  for (let i = 0; i < 3; i++) learn(it, 100, 400);
  return it;
}

test("does not sleep before it has measured a few times, nor for short work", async () => {
  const it = world();
  for (let i = 0; i < 2; i++) learn(it, 100, 400);
  it.patience.submitted(100 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.naps).toEqual([]);
  const knowing = taught();
  knowing.patience.submitted(0.2 * UNIT);
  await knowing.patience.wait(knowing.patience.ticket());
  expect(knowing.naps).toEqual([]);
});

test("learns nothing from light work, whose time is overhead", async () => {
  const it = world();
  for (let i = 0; i < 5; i++) learn(it, 0.5, 400);
  it.patience.submitted(200 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.naps).toEqual([]);
});

test("a first run that compiles for minutes does not count", async () => {
  const it = world();
  learn(it, 100, 100_000);
  for (let i = 0; i < 2; i++) learn(it, 100, 400);
  it.patience.submitted(100 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.slept()).toBeLessThan(400);
});

test("sleeps most of the expected time, never all of it", async () => {
  const it = taught();
  it.patience.submitted(200 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.slept()).toBeGreaterThan(600);
  expect(it.slept()).toBeLessThan(800);
});

test("work queued before counts too", async () => {
  const it = taught();
  it.patience.submitted(100 * UNIT);
  it.patience.ticket();
  it.patience.submitted(100 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.slept()).toBeGreaterThan(600);
  expect(it.slept()).toBeLessThan(800);
});

test("never sleeps longer than a few seconds, however wrong the guess", async () => {
  const it = world();
  for (let i = 0; i < 8; i++) learn(it, 100, 100_000);
  it.patience.submitted(100 * UNIT);
  await it.patience.wait(it.patience.ticket());
  expect(it.slept()).toBeLessThan(5000);
});

test("follows work that becomes faster", async () => {
  const it = taught();
  const waits: number[] = [];
  for (let i = 0; i < 30; i++) {
    const before = it.slept();
    it.patience.submitted(100 * UNIT);
    const ticket = it.patience.ticket();
    await it.patience.wait(ticket);
    it.pass(10);
    it.patience.done(ticket);
    waits.push(it.slept() - before);
  }
  expect(waits.at(-1)).toBeLessThan((waits[0] ?? 0) / 2);
});
