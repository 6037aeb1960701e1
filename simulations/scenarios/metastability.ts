import type { EjectionOptions } from "flotilla/balance";
import type { Middleware } from "flotilla/endpoint";
import { serverDefaults } from "flotilla/service";
import { type Grid, type Interval, type Line, type Panel, type Process, simulate, uniform } from "flotilla/sim";
import { naive } from "../lib/naive.ts";
import { recovery } from "../lib/recovery.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { openShop, Shop } from "../lib/shop.ts";

const MACHINES = 4;
/** What a call costs, milliseconds on average. */
const COST = 50;
/** What all machines can do, calls a second. */
const CAPACITY = (MACHINES * 1000) / COST;
/** How long a caller waits for one attempt. */
const TIMEOUT_MS = 1000;
const CALM_S = 15;
const AFTER_S = 30;

interface Trigger {
  readonly name: string;
  /** What is asked, in capacities. */
  readonly times?: number;
  /** Speed of every machine. */
  readonly speed?: number;
}

const triggers: readonly Trigger[] = [
  { name: "2x", times: 2 },
  { name: "5x", times: 5 },
  { name: "10x", times: 10 },
  { name: "half", speed: 0.5 },
];
const lengths = [1, 10, 60];
const loads = [0.5, 0.7, 0.9];

interface Cell {
  readonly trigger: Trigger;
  readonly seconds: number;
  readonly load: number;
}

/** Second by second. */
interface Outcome {
  readonly intervals: readonly Interval[];
  /** Calls that wait for a processor or have it, on all machines. */
  readonly queued: readonly number[];
  /** Calls that may be in flight, on all machines. */
  readonly limits: readonly number[];
  /** Instances out of the balance. */
  readonly ejected: readonly number[];
}

/** Callers without a channel's policies and hosts without a limit, or all defaults. */
function play(seed: number, ours: boolean, { trigger, seconds, load }: Cell): Promise<Outcome> {
  return simulate({ seed }, async (world) => {
    const limiters: { readonly state: { readonly limit: number } }[] = [];
    const use = (process: Process): readonly Middleware[] => {
      if (!ours) return [];
      const stack = serverDefaults({ clock: process.clock });
      limiters.push(stack.find((middleware) => "state" in middleware) as unknown as (typeof limiters)[number]);
      return stack;
    };
    const machines = await openShop(world, { n: MACHINES, cost: uniform(0.5 * COST, 1.5 * COST), use });
    const caller = await world.caller("caller");
    let out = 0;
    const ejection: EjectionOptions = { onEject: () => void out++, onReturn: () => void out-- };
    const shop = caller.client(Shop, ours ? { timeoutMs: TIMEOUT_MS, ejection } : naive(4, TIMEOUT_MS));
    const queued = world.sample("queued", () =>
      machines.reduce((sum, { process }) => sum + process!.cpu.queued + process!.cpu.busy, 0),
    );
    const limits = world.sample("limits", () => limiters.reduce((sum, { state }) => sum + state.limit, 0));
    const ejected = world.sample("ejected", () => out);
    const base = load * CAPACITY;
    const peak = trigger.times === undefined ? base : trigger.times * CAPACITY;
    const endMs = (CALM_S + seconds) * 1000;
    const traffic = world.traffic("all", {
      perSecond: (atMs) => (atMs >= CALM_S * 1000 && atMs < endMs ? peak : base),
      ctx: caller.ctx,
      call: (ctx, n) => shop.order(ctx, { n }),
    });
    await world.run(CALM_S * 1000);
    for (const machine of machines) machine.setSpeed(trigger.speed ?? 1);
    await world.run(seconds * 1000);
    for (const machine of machines) machine.setSpeed(1);
    await world.run(AFTER_S * 1000);
    traffic.stop();
    await world.run(4 * TIMEOUT_MS);
    return { intervals: traffic.intervals, queued: queued.values, limits: limits.values, ejected: ejected.values };
  });
}

/** The cell that is drawn over time. */
const shown: Cell = { trigger: triggers[0]!, seconds: 10, load: 0.9 };

export const metastability: Scenario = {
  name: "metastability",
  summary: "1, 10 and 60 s of overload or half the capacity, at 50, 70 and 90 % load: is it over when it is over?",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const grids: Grid[] = [];
    const expectations: Expectation[] = [];
    const drawn: { readonly name: string; readonly outcome: Outcome }[] = [];
    let lost = 0;
    const columns = triggers.flatMap(({ name }) => lengths.map((seconds) => `${name} ${seconds} s`));
    for (const ours of [true, false]) {
      const who = ours ? "flotilla" : "naive";
      const values = [];
      for (const load of loads) {
        const name = `${who}, ${load * 100} %`;
        const figures: Record<string, number> = {};
        for (const trigger of triggers) {
          for (const seconds of lengths) {
            progress(`${name}, ${trigger.name} for ${seconds} s`);
            const outcome = await play(seed, ours, { trigger, seconds, load });
            figures[`${trigger.name} ${seconds} s`] = recovery(outcome.intervals, CALM_S + seconds, 5);
            if (trigger === shown.trigger && seconds === shown.seconds && load === shown.load)
              drawn.push({ name: who, outcome });
          }
        }
        rows.push({ name, figures });
        values.push({ name: `${load * 100} % load`, values: columns.map((column) => figures[column]!) });
        if (ours)
          expectations.push({
            what: `${load * 100} % load: seconds to recovery, the longest`,
            figure: Math.max(...Object.values(figures)),
            max: 10,
          });
        else lost += Object.values(figures).filter((seconds) => seconds === Infinity).length;
      }
      const title = ours ? "flotilla, all defaults" : "naive: 3 retries, first in first out, no limit";
      grids.push({ title: `Seconds to recovery: ${title}`, unit: "s", columns, rows: values, limit: 10 });
    }
    expectations.push({ what: "cells in which the naive one never recovers", figure: lost, min: 18 });
    return { rows, expectations, panels: [...grids, ...overTime(drawn)] };
  },
};

/** The cell that is drawn, from the calm to the end of the traffic. */
function overTime(drawn: readonly { readonly name: string; readonly outcome: Outcome }[]): Panel[] {
  const { trigger, seconds, load } = shown;
  const until = CALM_S + seconds + AFTER_S;
  const lines = (of: (outcome: Outcome) => readonly number[]): Line[] =>
    drawn.map(({ name, outcome }) => ({ name, values: of(outcome).slice(0, until) }));
  const ours = (of: (outcome: Outcome) => readonly number[]): Line[] => lines(of).slice(0, 1);
  return [
    {
      title: `Served, at ${load * 100} % load with ${trigger.name} the capacity asked for ${seconds} s`,
      unit: "calls/s",
      mark: { name: "capacity", at: CAPACITY },
      lines: lines(({ intervals }) => Array.from(intervals, (interval) => interval?.ok ?? 0)),
    },
    {
      title: "p99 of what is served",
      unit: "ms",
      lines: lines(({ intervals }) => Array.from(intervals, (interval) => interval?.latency.quantile(0.99) ?? 0)),
    },
    { title: "Work that waits on all machines", unit: "calls", max: 500, lines: lines(({ queued }) => queued) },
    {
      title: "Calls in flight allowed on all machines",
      unit: "calls",
      lines: ours(({ limits }) => limits),
    },
    { title: "Instances out of the balance", unit: "", max: MACHINES, lines: ours(({ ejected }) => ejected) },
  ];
}
