import { ServiceError } from "flotilla/errors";
import { circuitBreaker } from "flotilla/resilience";
import { implement, serverDefaults } from "flotilla/service";
import { type Interval, type Process, type SimChannelOptions, simulate, uniform } from "flotilla/sim";
import { naive } from "../lib/naive.ts";
import { recovery } from "../lib/recovery.ts";
import type { Expectation, Result, Run, Scenario } from "../lib/scenario.ts";
import { echo, openShop, Shop } from "../lib/shop.ts";

/** Three machines can do 300 calls a second. */
const OFFERED = 280;
const TIMEOUT_MS = 1000;

/** Nothing is answered from the 20th to the 30th second; what came meanwhile waits. */
function freeze(seed: number, ours: boolean): Promise<readonly Interval[]> {
  return simulate({ seed }, async (world) => {
    const machines = await openShop(world, {
      n: 3,
      cost: uniform(5, 15),
      use: (process) => (ours ? serverDefaults({ clock: process.clock }) : []),
    });
    const caller = await world.caller("caller");
    const shop = caller.client(Shop, ours ? { timeoutMs: TIMEOUT_MS } : naive(2, TIMEOUT_MS));
    const call = (ctx: typeof caller.ctx, n: number) => shop.order(ctx, { n });
    const traffic = world.traffic("all", { perSecond: OFFERED, ctx: caller.ctx, call });
    await world.run(20_000);
    for (const machine of machines) machine.pause(10_000);
    await world.run(40_000);
    traffic.stop();
    await world.run(2 * TIMEOUT_MS);
    return traffic.intervals;
  });
}

/** The three are asked for so much that they must refuse 60 %: all calls from the 20th to the 60th second. */
function refusing(seed: number): Promise<Interval> {
  return simulate({ seed }, async (world) => {
    await openShop(world, { n: 3, cost: uniform(5, 15), use: (process) => serverDefaults({ clock: process.clock }) });
    const caller = await world.caller("caller");
    const shop = caller.client(Shop);
    const call = (ctx: typeof caller.ctx, n: number) => shop.order(ctx, { n });
    const traffic = world.traffic("all", { perSecond: 750, ctx: caller.ctx, call, timeoutMs: TIMEOUT_MS });
    await world.run(61_000);
    return traffic.between(20_000, 60_000);
  });
}

/** Ten machines fail 60 % of their calls, each. */
function failing(seed: number, options: (caller: Process) => SimChannelOptions): Promise<Interval> {
  return simulate({ seed }, async (world) => {
    const random = world.random("failures");
    await world.machines("shop", 10, async (process) => {
      const shop = implement(
        Shop,
        {
          async order(ctx, request) {
            if (random.next() < 0.6) throw new ServiceError("internal", "disk full");
            return echo.order(ctx, request);
          },
        },
        { use: [process.work(uniform(5, 15))], validateOutput: false },
      );
      await process.host({ serve: [shop], use: serverDefaults({ clock: process.clock }), onError() {} });
    });
    const caller = await world.caller("caller");
    const shop = caller.client(Shop, options(caller));
    const call = (ctx: typeof caller.ctx, n: number) => shop.order(ctx, { n });
    const traffic = world.traffic("all", { perSecond: 500, ctx: caller.ctx, call, timeoutMs: TIMEOUT_MS });
    await world.run(60_000);
    traffic.stop();
    await world.run(TIMEOUT_MS);
    return traffic.between();
  });
}

export const outage: Scenario = {
  name: "outage",
  summary: "all machines stand still for 10 s at 93 % load; all fail or refuse 60 % of their calls",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations: Expectation[] = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive, 1 retry";
      progress(`${name}, standstill`);
      const intervals = await freeze(seed, ours);
      const last = intervals.slice(50, 60);
      const recoveredAfter = recovery(intervals, 30, 5);
      const figures = {
        "recovered after s": recoveredAfter,
        "served %": (100 * last.reduce((sum, { ok }) => sum + ok, 0)) / last.reduce((sum, { began }) => sum + began, 0),
      };
      rows.push({ name: `${name}, after a standstill`, figures });
      lines.push({ name, values: intervals.map(({ ok }) => ok) });
      expectations.push(
        ours
          ? { what: "well again after a standstill, seconds", figure: recoveredAfter, max: 5 }
          : { what: `${name}: well again after a standstill, seconds`, figure: recoveredAfter, min: 20 },
      );
    }
    for (const [name, options] of [
      ["circuit breaker", ({ clock, random }) => ({ use: [circuitBreaker({ clock, random })] })],
      ["flotilla", () => ({})],
    ] as const satisfies (readonly [string, Parameters<typeof failing>[1]])[]) {
      progress(`${name}, 60 % fail`);
      const interval = await failing(seed, options);
      rows.push({ name: `${name}, 60 % fail`, figures: { "served %": (100 * interval.ok) / interval.began } });
      if (name === "flotilla")
        expectations.push({
          what: "60 % fail: served, of what is accepted",
          figure: interval.ok / (0.4 * interval.began),
          min: 0.9,
        });
    }
    progress("60 % too much");
    const crowded = await refusing(seed);
    rows.push({ name: "flotilla, 60 % too much", figures: { "served %": (100 * crowded.ok) / crowded.began } });
    expectations.push({
      what: "60 % too much: served, of what can be",
      figure: crowded.ok / 40 / 300,
      min: 0.9,
    });
    return {
      rows,
      expectations,
      panels: [{ title: "Served", unit: "calls/s", lines, mark: { name: "offered", at: OFFERED } }],
    };
  },
};
