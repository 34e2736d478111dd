/**
 * Sleeps until submitted work is nearly done. Dawn in Node spins a core while a WebGPU promise is pending, and on a
 * software adapter that core is one of those that compute: waiting costs a third of the speed. Browsers need none of it.
 * Only decides when to start waiting, so a bad guess costs a little time and never a result.
 */

/** Below this many milliseconds spinning is cheaper than a timer's inaccuracy. */
const SHORT = 3;
/** Share of the expected time to sleep; below 1, so that a guess that is too long corrects itself. */
const SHARE = 0.9;
/** Work (about FLOPs) below which nothing is learnt or slept: such times are overhead, and say nothing about the rate. */
const LIGHT = 1e8;
/** Longest single sleep, after which the guess is made anew; and longest wait in all. */
const NAP = 250;
const LONGEST = 4000;
/**
 * The fastest of the last WINDOW times counts, from ENOUGH times on: first runs include compilation, and a guess that is
 * too long would confirm itself.
 */
const WINDOW = 8;
const ENOUGH = 3;

interface Ticket {
  readonly work: number;
  readonly submitted: number;
}

export class Patience {
  /** Work per millisecond of the last heavy tickets. */
  private readonly rates: number[] = [];
  private lastDone = 0;
  private readonly pending: Ticket[] = [];
  /** Work submitted since the last ticket. */
  private loose = 0;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly sleep: (milliseconds: number) => Promise<void> = (milliseconds) =>
      new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
      }),
  ) {}

  /** Work that nobody waits for by itself. */
  submitted(work: number): void {
    this.loose += work;
  }

  /** Takes a ticket for everything submitted so far. */
  ticket(): Ticket {
    const ticket = { work: this.loose, submitted: this.now() };
    this.loose = 0;
    this.pending.push(ticket);
    return ticket;
  }

  /** Returns when the ticket's work is expected to be nearly done; at once while nothing is known. */
  async wait(ticket: Ticket): Promise<void> {
    const start = this.now();
    for (let left = this.remaining(ticket); left > SHORT && this.now() - start < LONGEST; left = this.remaining(ticket))
      await this.sleep(Math.min(NAP, left));
  }

  /** Learns from the ticket's end; tickets end in their order. */
  done(ticket: Ticket): void {
    const now = this.now();
    const milliseconds = now - Math.max(this.lastDone, ticket.submitted);
    if (ticket.work >= LIGHT && milliseconds > 0) this.learn(ticket.work / milliseconds);
    this.lastDone = now;
    const index = this.pending.indexOf(ticket);
    if (index >= 0) this.pending.splice(0, index + 1);
  }

  private learn(rate: number): void {
    this.rates.push(rate);
    if (this.rates.length > WINDOW) this.rates.shift();
  }

  /** Milliseconds left of SHARE of the expected time. */
  private remaining(ticket: Ticket): number {
    const index = this.pending.indexOf(ticket);
    const first = this.pending[0];
    if (this.rates.length < ENOUGH || index < 0 || first === undefined) return 0;
    const work = this.pending.slice(0, index + 1).reduce((sum, { work }) => sum + work, 0);
    if (work < LIGHT) return 0;
    return (SHARE * work) / Math.max(...this.rates) - (this.now() - Math.max(this.lastDone, first.submitted));
  }
}
