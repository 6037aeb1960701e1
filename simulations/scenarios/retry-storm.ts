import { type SimChannelOptions, simulate, type Traffic } from "flotilla/sim";
import { type Counts, Front, openChain } from "../lib/chain.ts";
import { naiveRetry } from "../lib/naive-retry.ts";
import type { Result, Run, Scenario } from "../lib/scenario.ts";

/** Calls a second; the last tier can do 1000. */
const OFFERED = 850;
/** Attempts a call: a fifth more than calls, of which the budget counts those of the ten seconds before. */
const MOST = 1.22;

interface Outcome {
  readonly traffic: Traffic;
  /** Calls that reached each tier while the last one failed, for each of the tier before. */
  readonly amplification: { readonly middle: number; readonly back: number; readonly all: number };
  /** Seconds after the failures ended until all was well again. */
  readonly recoveredAfter: number;
}

function play(seed: number, ours: boolean): Promise<Outcome> {
  return simulate({ seed, intervalMs: 500 }, async (world) => {
    let share = 0;
    const options: SimChannelOptions = ours
      ? {}
      : { use: [naiveRetry(4)], retry: false, throttle: false, ejection: false };
    const counts = await openChain(world, {
      ours,
      failing: () => share,
      channel: () => options,
    });
    const caller = await world.caller("caller");
    const front = caller.client(Front, options);
    const traffic = world.traffic("all", {
      perSecond: OFFERED,
      ctx: caller.ctx,
      call: (ctx, n) => front.go(ctx, { n }),
      timeoutMs: 1000,
    });
    await world.run(10_000);
    share = 0.5;
    // The budget looks back ten seconds, and those were good ones.
    await world.run(10_000);
    const before: Counts = { ...counts };
    await world.run(20_000);
    share = 1;
    await world.run(30_000);
    const after: Counts = { ...counts };
    share = 0;
    await world.run(40_000);
    const healed = traffic.intervals.findIndex(
      (interval, i) =>
        i >= 140 &&
        traffic.intervals.slice(i, i + 10).every((next) => next.ok >= 0.95 * next.began) &&
        interval.began > 0,
    );
    return {
      traffic,
      amplification: {
        middle: (after.middle - before.middle) / (after.front - before.front),
        back: (after.back - before.back) / (after.middle - before.middle),
        all: (after.back - before.back) / traffic.between(20_000, 70_000).began,
      },
      recoveredAfter: healed < 0 ? Infinity : (healed - 140) / 2,
    };
  });
}

export const retryStorm: Scenario = {
  name: "retry-storm",
  summary: "the last of three tiers fails half, then all of its calls for 30 s each",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive, 3 retries";
      progress(name);
      const { traffic, amplification, recoveredAfter } = await play(seed, ours);
      const half = traffic.between(20_000, 40_000);
      rows.push({
        name,
        figures: {
          "middle per front": amplification.middle,
          "back per middle": amplification.back,
          "back per call": amplification.all,
          "served at 50 %": half.ok / half.began,
          "recovered after s": Math.min(999, recoveredAfter),
        },
      });
      lines.push({ name, values: traffic.intervals.map(({ ok }) => ok * 2) });
      if (!ours) continue;
      expectations.push(
        { what: "calls of the middle tier for each of the front", figure: amplification.middle, max: MOST },
        {
          what: "calls of the last tier for each of the middle",
          figure: Number(amplification.back.toFixed(2)),
          max: MOST,
        },
        { what: "recovered after, seconds", figure: recoveredAfter, max: 2 },
      );
    }
    return {
      rows,
      expectations,
      panels: [{ title: "Served in time", unit: "calls/s", lines, mark: { name: "offered", at: OFFERED } }],
    };
  },
};
