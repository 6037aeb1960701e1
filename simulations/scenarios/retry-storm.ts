import { type SimChannelOptions, simulate, type Traffic } from "flotilla/sim";
import { Chain, type Counts, Front } from "../lib/chain.ts";
import { naive } from "../lib/naive.ts";
import { recovery } from "../lib/recovery.ts";
import type { Expectation, Result, Run, Scenario } from "../lib/scenario.ts";

/** Calls a second; the last tier can do 200. */
const OFFERED = 170;
/** How long a caller waits for an answer: the call with us, each attempt where it is naive. */
const TIMEOUT_MS = 1000;
const INTERVAL_MS = 500;

interface Outcome {
  readonly traffic: Traffic;
  /** Attempts that the callers of a tier made for each call they were asked for. */
  readonly amplification: { readonly front: number; readonly middle: number; readonly back: number };
  /** Seconds after the failures ended until all was well again. */
  readonly recoveredAfter: number;
}

function play(seed: number, ours: boolean): Promise<Outcome> {
  return simulate({ seed, intervalMs: INTERVAL_MS }, async (world) => {
    let share = 0;
    const channel: SimChannelOptions = ours ? { timeoutMs: TIMEOUT_MS } : naive(4, TIMEOUT_MS);
    const chain = new Chain({ ours, channel, failing: () => share });
    await chain.open(world);
    const caller = await world.caller("caller");
    const front = caller.client(Front, chain.channel());
    const traffic = world.traffic("all", {
      perSecond: OFFERED,
      ctx: caller.ctx,
      call: (ctx, n) => front.go(ctx, { n }),
    });
    await world.run(10_000);
    share = 0.5;
    // What was saved of the budget in good times is soon used up.
    await world.run(10_000);
    const before = chain.counts;
    await world.run(20_000);
    share = 1;
    await world.run(30_000);
    const after = chain.counts;
    share = 0;
    await world.run(25_000);
    traffic.stop();
    const change = (tier: number, what: keyof Counts): number => after[tier]![what] - before[tier]![what];
    // To two digits: of the calls that were on their way at either end one half is counted.
    const ratio = (made: number, asked: number): number => Number((made / asked).toFixed(2));
    return {
      traffic,
      amplification: {
        front: ratio(change(0, "sent"), traffic.between(20_000, 70_000).began),
        middle: ratio(change(1, "sent"), change(0, "handled")),
        back: ratio(change(2, "sent"), change(1, "handled")),
      },
      recoveredAfter: (recovery(traffic.intervals, 70_000 / INTERVAL_MS, 10) * INTERVAL_MS) / 1000,
    };
  });
}

export const retryStorm: Scenario = {
  name: "retry-storm",
  summary: "the last of three tiers fails half, then all of its calls for 30 s each",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations: Expectation[] = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive, 3 retries";
      progress(name);
      const { traffic, amplification, recoveredAfter } = await play(seed, ours);
      const { front, middle, back } = amplification;
      const half = traffic.between(20_000, 40_000);
      rows.push({
        name,
        figures: {
          "attempts to front": front,
          "to middle": middle,
          "to back": back,
          "served at 50 %": half.ok / half.began,
          "recovered after s": recoveredAfter,
        },
      });
      lines.push({ name, values: traffic.intervals.map(({ ok }) => (ok * 1000) / INTERVAL_MS) });
      if (!ours) {
        expectations.push({ what: `${name}: recovered after, seconds`, figure: recoveredAfter, min: 20 });
        continue;
      }
      expectations.push(
        { what: "attempts to call the front for each call", figure: front, max: 1.2 },
        { what: "attempts to call the middle for each call of the front", figure: middle, max: 1.2 },
        { what: "attempts to call the back for each call of the middle", figure: back, max: 1.2 },
        { what: "recovered after, seconds", figure: recoveredAfter, max: 2 },
      );
    }
    return {
      rows,
      expectations,
      panels: [
        { title: "Served", unit: "calls/s", intervalMs: INTERVAL_MS, lines, mark: { name: "offered", at: OFFERED } },
      ],
    };
  },
};
