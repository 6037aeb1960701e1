import { type BalancerFactory, leastRequest, peakEwma, prequal, roundRobin } from "flotilla/balance";
import type { Context } from "flotilla/context";
import { loadReporting } from "flotilla/resilience";
import { exponential, simulate, type Traffic } from "flotilla/sim";
import { type Outcomes, outcomesOf } from "../lib/outcomes.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { openShop, Shop } from "../lib/shop.ts";

const REPLICAS = 16;
const SLOW = 2;
const SECONDS = 25;
/** For finding out. */
const WARM_UP = 5;
const TIMEOUT_MS = 10_000;
/** 70 % of what all could do if two of them were sixteen times slower. */
const PER_SECOND = 0.7 * 100 * (REPLICAS - SLOW + SLOW / 16);

function play(seed: number, clients: number, balance: BalancerFactory, slow: boolean): Promise<Outcomes> {
  return simulate({ seed }, async (world) => {
    const machines = await openShop(world, {
      n: REPLICAS,
      cost: exponential(10),
      use: (process) => [loadReporting({ clock: process.clock })],
    });
    if (slow) for (const machine of machines.slice(0, SLOW)) machine.setSpeed(1 / 16);
    const streams: Traffic[] = [];
    for (let i = 0; i < clients; i++) {
      const caller = await world.caller(`caller-${i}`);
      const shop = caller.client(Shop, { balance, retry: false, throttle: false, ejection: false });
      const call = (ctx: Context, n: number) => shop.order(ctx, { n });
      const perSecond = PER_SECOND / clients;
      streams.push(world.traffic(`t${i}`, { perSecond, ctx: caller.ctx, call, timeoutMs: TIMEOUT_MS }));
    }
    await world.run(SECONDS * 1000);
    for (const stream of streams) stream.stop();
    await world.run(TIMEOUT_MS);
    return outcomesOf(streams, TIMEOUT_MS, WARM_UP * 1000);
  });
}

const balancers: readonly (readonly [string, () => BalancerFactory])[] = [
  ["round robin", () => roundRobin()],
  ["least request", () => leastRequest()],
  ["peak EWMA", () => peakEwma()],
  ["Prequal", () => prequal()],
];

export const slowReplica: Scenario = {
  name: "slow-replica",
  summary: "2 of 16 replicas take 16 times as long, at 70 % load, seen by 1 and by 20 clients",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const expectations: Expectation[] = [];
    for (const clients of [1, 20]) {
      const by = `${clients} client${clients === 1 ? "" : "s"}`;
      for (const [name, balance] of balancers) {
        progress(`${name}, ${by}`);
        const healthy = (await play(seed, clients, balance(), false)).latency.quantile(0.99);
        const { calls, failed, latency } = await play(seed, clients, balance(), true);
        const times = latency.quantile(0.99) / healthy;
        rows.push({
          name: `${name}, ${by}`,
          figures: {
            "failed %": (failed / calls) * 100,
            "p50 ms": latency.quantile(0.5),
            "p99 ms": latency.quantile(0.99),
            "p99.9 ms": latency.quantile(0.999),
            "healthy p99": healthy,
            "times healthy": times,
          },
        });
        const what = `${name}, ${by}: p99, times all healthy`;
        if (name === "round robin") expectations.push({ what, figure: times, min: 16 });
        if (name === "peak EWMA" || name === "Prequal") expectations.push({ what, figure: times, max: 2 });
      }
    }
    return { rows, expectations, panels: [] };
  },
};
