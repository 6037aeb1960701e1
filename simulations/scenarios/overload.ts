import type { ConcurrencyLimit } from "flotilla/resilience";
import { serverDefaults } from "flotilla/service";
import { type Interval, type Process, simulate, type Traffic } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { figuresOf, openShop, Shop } from "../lib/shop.ts";

/** What the one machine can do, calls a second. */
const CAPACITY = 100;
const TIMEOUT_MS = 1000;

interface Shape {
  readonly name: string;
  readonly ours: boolean;
  /** All traffic but the critical, calls a second. */
  readonly perSecond: (atMs: number) => number;
  readonly criticalPerSecond?: number;
  readonly seconds: number;
}

interface Outcome {
  readonly traffic: Traffic;
  readonly critical: Traffic | undefined;
  readonly limits: readonly number[];
}

/** One machine, called in an open loop by callers that wait a second. */
function play(seed: number, { ours, perSecond, criticalPerSecond, seconds }: Shape): Promise<Outcome> {
  return simulate({ seed }, async (world) => {
    let limit = (): number => 0;
    const use = (process: Process) => {
      if (!ours) return [];
      const stack = serverDefaults({ clock: process.clock });
      const limiting = stack.find((middleware) => "state" in middleware) as ConcurrencyLimit;
      limit = () => limiting.state.limit;
      return stack;
    };
    await openShop(world, { use });
    const caller = await world.caller("caller");
    const shop = caller.client(Shop, { retry: false, throttle: false, ejection: false });
    const { ctx } = caller;
    const call = (inner: typeof ctx, n: number) => shop.order(inner, { n });
    const traffic = world.traffic("all", { perSecond, ctx, call, timeoutMs: TIMEOUT_MS });
    const critical =
      criticalPerSecond === undefined
        ? undefined
        : world.traffic("critical", {
            perSecond: criticalPerSecond,
            ctx,
            call,
            timeoutMs: TIMEOUT_MS,
            priority: "critical",
          });
    const limits = world.sample("limit", () => limit());
    await world.run(seconds * 1000);
    return { traffic, critical, limits: limits.values };
  });
}

/** 20 s at 70 % of capacity, a minute at so many times the capacity, then 80 %. */
const surge =
  (times: number) =>
  (atMs: number): number =>
    atMs < 20_000 ? 0.7 * CAPACITY : atMs < 80_000 ? times * CAPACITY : 0.8 * CAPACITY;

const perSecond = (intervals: readonly Interval[]): number[] => Array.from(intervals, (interval) => interval?.ok ?? 0);
const p99 = (intervals: readonly Interval[]): number[] =>
  Array.from(intervals, (interval) => interval?.latency.quantile(0.99) ?? 0);

export const overload: Scenario = {
  name: "overload",
  summary: "one machine is asked for 3 and 5 times what it can do",
  async run({ seed, progress }: Run): Promise<Result> {
    progress("unloaded");
    const calm = await play(seed, { name: "unloaded", ours: true, perSecond: () => 10, seconds: 120 });
    const unloaded = calm.traffic.between();
    const rows = [{ name: "unloaded", figures: figuresOf(unloaded, 120) }];
    const expectations = [];
    const lines: { name: string; outcome: Outcome }[] = [];
    for (const times of [3, 5]) {
      for (const ours of [false, true]) {
        const name = `${ours ? "flotilla" : "naive"} ${times}x`;
        progress(name);
        const outcome = await play(seed, { name, ours, perSecond: surge(times), seconds: 100 });
        const during = outcome.traffic.between(20_000, 80_000);
        const after = outcome.traffic.between(85_000, 100_000);
        rows.push({ name, figures: figuresOf(during, 60) });
        lines.push({ name, outcome });
        if (!ours) {
          const figure = during.ok / 60 / CAPACITY;
          expectations.push({
            what: `${times}x: share of capacity that the naive one serves in time`,
            figure,
            max: 0.1,
          });
          continue;
        }
        expectations.push(
          { what: `${times}x: share of capacity served in time`, figure: during.ok / 60 / CAPACITY, min: 0.9 },
          {
            what: `${times}x: p99 of what is served, times unloaded`,
            figure: during.latency.quantile(0.99) / unloaded.latency.quantile(0.99),
            max: 3,
          },
          {
            what: `${times}x: served from 5 s after on, share of 80 % load`,
            figure: after.ok / after.began,
            min: 0.98,
          },
        );
      }
    }
    progress("critical");
    const mixed = await play(seed, {
      name: "critical",
      ours: true,
      perSecond: (atMs) => (atMs < 20_000 ? 5 : 4.2 * CAPACITY),
      criticalPerSecond: 0.8 * CAPACITY,
      seconds: 80,
    });
    const critical = mixed.critical!.between(20_000, 80_000);
    rows.push({ name: "critical of 5x", figures: figuresOf(critical, 60) });
    expectations.push({
      what: "critical calls served, of 80 % of capacity",
      figure: critical.ok / critical.began,
      min: 0.99,
    });
    progress("10 minutes at 1.3x");
    const long = await play(seed, { name: "1.3x", ours: true, perSecond: () => 1.3 * CAPACITY, seconds: 600 });
    rows.push({ name: "1.3x for 10 min", figures: figuresOf(long.traffic.between(), 600) });
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expectations.push({
      what: "drift of the limit over 10 minutes at 1.3x, as a share",
      figure: Math.abs(mean(long.limits.slice(480)) / mean(long.limits.slice(60, 180)) - 1),
      max: 0.2,
    });
    return {
      rows,
      expectations,
      panels: [
        {
          title: "Served in time",
          unit: "calls/s",
          mark: { name: "capacity", at: CAPACITY },
          lines: lines.map(({ name, outcome }) => ({ name, values: perSecond(outcome.traffic.intervals) })),
        },
        {
          title: "p99 of what is served",
          unit: "ms",
          lines: lines.map(({ name, outcome }) => ({ name, values: p99(outcome.traffic.intervals) })),
        },
        {
          title: "Calls in flight allowed",
          unit: "calls",
          lines: lines
            .filter(({ name }) => name.startsWith("flotilla"))
            .map(({ name, outcome }) => ({ name, values: outcome.limits })),
        },
      ],
    };
  },
};
