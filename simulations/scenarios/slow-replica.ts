import { type BalancerFactory, leastRequest, peakEwma, prequal, roundRobin } from "flotilla/balance";
import { loadReporting } from "flotilla/resilience";
import { exponential, type Interval, simulate } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { figuresOf, openShop, Shop } from "../lib/shop.ts";

const REPLICAS = 16;
const SLOW = 2;
const SECONDS = 35;
/** 70 % of what all could do if two of them were sixteen times slower. */
const PER_SECOND = 0.7 * 100 * (REPLICAS - SLOW + SLOW / 16);

function play(seed: number, clients: number, balance: BalancerFactory, slow: boolean): Promise<Interval> {
  return simulate({ seed }, async (world) => {
    const machines = await openShop(world, {
      n: REPLICAS,
      cost: exponential(10),
      use: (process) => [loadReporting({ clock: process.clock })],
    });
    if (slow) for (const machine of machines.slice(0, SLOW)) machine.setSpeed(1 / 16);
    const streams = [];
    for (let i = 0; i < clients; i++) {
      const caller = await world.caller(`caller-${i}`);
      const shop = caller.client(Shop, { balance, retry: false, throttle: false, ejection: false });
      const call = (ctx: typeof caller.ctx, n: number) => shop.order(ctx, { n });
      streams.push(
        world.traffic(`t${i}`, { perSecond: PER_SECOND / clients, ctx: caller.ctx, call, timeoutMs: 10_000 }),
      );
    }
    await world.run((SECONDS + 10) * 1000);
    // The first seconds are for finding out.
    const [first, ...others] = streams.map((stream) => stream.between(5000, SECONDS * 1000));
    for (const other of others) {
      first!.began += other.began;
      first!.ok += other.ok;
      first!.latency.add(other.latency);
    }
    return first!;
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
    const rows = [];
    const expectations = [];
    for (const clients of [1, 20]) {
      for (const [name, balance] of balancers) {
        progress(`${name}, ${clients} clients`);
        const healthy = (await play(seed, clients, balance(), false)).latency.quantile(0.99);
        const interval = await play(seed, clients, balance(), true);
        const times = interval.latency.quantile(0.99) / healthy;
        rows.push({
          name: `${name}, ${clients} client${clients === 1 ? "" : "s"}`,
          figures: { ...figuresOf(interval, SECONDS - 5), "healthy p99": healthy, "times healthy": times },
        });
        if (name === "peak EWMA" || name === "Prequal") {
          expectations.push({
            what: `${name}, ${clients} clients: p99, times all healthy`,
            figure: times,
            max: clients === 1 ? 2 : 3,
          });
        }
      }
    }
    return { rows, expectations, panels: [] };
  },
};
