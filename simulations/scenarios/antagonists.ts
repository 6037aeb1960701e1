import {
  type BalancerFactory,
  leastRequest,
  peakEwma,
  prequal,
  random,
  roundRobin,
  weightedRoundRobin,
} from "flotilla/balance";
import type { Context } from "flotilla/context";
import { loadReporting } from "flotilla/resilience";
import { implement } from "flotilla/service";
import { exponential, type Histogram, type Line, simulate, type Traffic, type World } from "flotilla/sim";
import { type Outcomes, outcomesOf } from "../lib/outcomes.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { echo, Shop } from "../lib/shop.ts";

const MACHINES = 18;
const CLIENTS = 20;
/** What a call costs a machine that has its allocation and no more, milliseconds. */
const COST = 10;
/** Speed of a machine whose antagonists are quiet, of its allocation. */
const SPARE = 2;
/** One machine in so many never has anything to spare. */
const CROWDED = 6;
/** Antagonists come and go about once in so long, milliseconds. */
const CYCLE = exponential(1000);
const LOADS = [0.75, 0.9, 1, 1.1];
const TIMEOUT_MS = 1000;
const SECONDS = 12;
/** For finding out. */
const WARM_UP = 3;

interface Played extends Outcomes {
  /** That the network carried, for each call. */
  readonly messages: number;
  /** p99, second by second. */
  readonly seconds: readonly number[];
}

/** What share of the time the antagonists of each machine are there: differs from machine to machine. */
function shares(world: World): number[] {
  const draw = world.random("antagonists");
  return Array.from({ length: MACHINES }, (_, i) => (i % CROWDED === 0 ? 1 : 0.1 + 0.6 * draw.next()));
}

/** The machine has its allocation while antagonists are there, and more while they are not. */
function disturb(world: World, name: string, busy: number, setSpeed: (speed: number) => void): void {
  if (busy === 1) return;
  const draw = world.random(`antagonists of ${name}`);
  let there = draw.next() < busy;
  const turn = (): void => {
    there = !there;
    setSpeed(there ? 1 : SPARE);
    world.clock.schedule(CYCLE.sample(draw) * (there ? busy : 1 - busy), turn);
  };
  turn();
}

/** @param weighted - whether instances say as their weight how fast they are on average. */
function play(seed: number, load: number, balance: BalancerFactory, weighted: boolean): Promise<Played> {
  return simulate({ seed }, async (world) => {
    const busy = shares(world);
    const machines = await world.machines(
      "shop",
      MACHINES,
      async (process) => {
        const shop = implement(Shop, echo, { use: [process.work(exponential(COST))], validateOutput: false });
        const share = busy[Number(process.place.name.slice("shop-".length)) - 1]!;
        await process.host({
          serve: [shop],
          use: [loadReporting({ clock: process.clock })],
          instance: weighted ? { weight: share + SPARE * (1 - share) } : {},
        });
      },
      { receiveMs: 0.02 },
    );
    machines.forEach((machine, i) => {
      disturb(world, machine.name, busy[i]!, (speed) => machine.setSpeed(speed));
    });
    const perSecond = (load * MACHINES * 1000) / COST / CLIENTS;
    const streams: Traffic[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      const caller = await world.caller(`caller-${i}`);
      const shop = caller.client(Shop, { balance, retry: false, throttle: false, ejection: false });
      const call = (ctx: Context, n: number) => shop.order(ctx, { n });
      streams.push(world.traffic(`calls of ${i}`, { perSecond, ctx: caller.ctx, call, timeoutMs: TIMEOUT_MS }));
    }
    const before = world.network.counts.carried;
    await world.run(SECONDS * 1000);
    for (const stream of streams) stream.stop();
    await world.run(TIMEOUT_MS);
    const { calls } = outcomesOf(streams, TIMEOUT_MS);
    return {
      ...outcomesOf(streams, TIMEOUT_MS, WARM_UP * 1000),
      messages: (world.network.counts.carried - before) / calls,
      seconds: Array.from({ length: SECONDS }, (_, i) =>
        outcomesOf(streams, TIMEOUT_MS, i * 1000, (i + 1) * 1000).latency.quantile(0.99),
      ),
    };
  });
}

const balancers: readonly (readonly [name: string, balance: () => BalancerFactory, weighted?: boolean])[] = [
  ["round robin", () => roundRobin()],
  ["random", () => random()],
  ["weighted round robin", () => weightedRoundRobin(), true],
  ["least request", () => leastRequest()],
  ["peak EWMA", () => peakEwma()],
  ["Prequal", () => prequal()],
];

export const antagonists: Scenario = {
  name: "antagonists",
  summary: `${MACHINES} machines whose neighbours come and go, asked for 75 to 110 % of what each is sure to have`,
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const expectations: Expectation[] = [];
    const lines: Line[] = [];
    for (const load of LOADS) {
      const percent = `${Math.round(load * 100)} %`;
      const found = new Map<string, Histogram>();
      for (const [name, balance, weighted = false] of balancers) {
        progress(`${name}, ${percent}`);
        const { calls, failed, latency, messages, seconds } = await play(seed, load, balance(), weighted);
        found.set(name, latency);
        rows.push({
          name: `${name}, ${percent}`,
          figures: {
            "failed %": (failed / calls) * 100,
            "p50 ms": latency.quantile(0.5),
            "p99 ms": latency.quantile(0.99),
            "p99.9 ms": latency.quantile(0.999),
            "messages/call": messages,
          },
        });
        if (load === LOADS.at(-1)) lines.push({ name, values: seconds });
      }
      // Where all have room a run this long tells too little of one call in a thousand.
      for (const q of load < 0.9 ? [0.99] : [0.99, 0.999]) {
        const ours = found.get("Prequal")!.quantile(q);
        const best = Math.min(...["round robin", "least request"].map((name) => found.get(name)!.quantile(q)));
        const what = `Prequal's p${q * 100} at ${percent}, of the better of round robin's and least request's`;
        expectations.push({ what, figure: ours / best, max: 1 });
      }
      if (load <= 1) continue;
      const share = (name: string): number => found.get(name)!.quantile(0.99) / TIMEOUT_MS;
      expectations.push({
        what: `round robin's p99 at ${percent}, of the timeout`,
        figure: share("round robin"),
        min: 0.9,
      });
      expectations.push({ what: `Prequal's p99 at ${percent}, of the timeout`, figure: share("Prequal"), max: 0.2 });
    }
    return { rows, expectations, panels: [{ title: `p99 at ${LOADS.at(-1)! * 100} %`, unit: "ms", lines }] };
  },
};
