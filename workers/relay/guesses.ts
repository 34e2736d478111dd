/**
 * Wrong codes are counted by address: a person who mistypes goes on, a program that tries codes does not. With 31^8 codes
 * and at most a thousand tries a minute from all addresses together, a year of trying finds a given session with 1 : 1600.
 */

/** Wrong codes of one address in a row, and milliseconds until one of them is forgiven. */
const BURST = 10;
const FORGIVEN_EACH_MS = 6000;
/** Wrong codes of all addresses together in a minute: beyond, nobody's code is looked at until it has passed. */
const BURST_OF_ALL = 1000;
const ALL_FORGIVEN_EACH_MS = 60;
/** Addresses that are remembered; the oldest go first. */
const REMEMBERED = 10_000;

interface Count {
  wrong: number;
  at: number;
}

/** An IPv6 subscriber has a whole /64: it counts as one address. */
export function addressGroup(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail = ""] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === "" ? [] : tail.split(":");
  const zeros = new Array<string>(Math.max(0, 8 - first.length - last.length)).fill("0");
  return [...first, ...(address.includes("::") ? zeros : []), ...last].slice(0, 4).join(":");
}

export class Guesses {
  readonly #counts = new Map<string, Count>();
  readonly #all: Count = { wrong: 0, at: 0 };

  constructor(private readonly now: () => number = Date.now) {}

  /** Whether the address may try a code now. */
  allowed(address: string): boolean {
    const now = this.now();
    const own = this.#counts.get(addressGroup(address));
    const all = left(this.#all, now, ALL_FORGIVEN_EACH_MS);
    // One more must fit.
    return all <= BURST_OF_ALL - 1 && left(own, now, FORGIVEN_EACH_MS) <= BURST - 1;
  }

  /** A code was wrong. */
  wrong(address: string): void {
    const now = this.now();
    const group = addressGroup(address);
    const wrong = left(this.#counts.get(group), now, FORGIVEN_EACH_MS) + 1;
    this.#counts.delete(group);
    this.#counts.set(group, { wrong, at: now });
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= REMEMBERED) break;
      this.#counts.delete(oldest);
    }
    this.#all.wrong = left(this.#all, now, ALL_FORGIVEN_EACH_MS) + 1;
    this.#all.at = now;
  }
}

function left(count: Count | undefined, now: number, forgivenEach: number): number {
  return count === undefined ? 0 : Math.max(0, count.wrong - (now - count.at) / forgivenEach);
}
