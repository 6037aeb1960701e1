import type { Context } from "flotilla/context";
import { contract, unary } from "flotilla/contract";
import { atMostOnce, idempotencyKeys } from "flotilla/resilience";
import { implement, serverDefaults } from "flotilla/service";
import { type Place, type Process, simulate, type Traffic, uniform, type World } from "flotilla/sim";
import { naive } from "../lib/naive.ts";
import { recovery } from "../lib/recovery.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { order } from "../lib/shop.ts";

/** Reading may be repeated, paying may not. */
const Bank = contract("sim.v1.Bank", {
  read: unary({ input: order, output: order, idempotent: true }),
  pay: unary({ input: order, output: order }),
});

const TIMEOUT_MS = 1000;
const PARTED_S = 20;
const HEALED_S = 20;
const CALM_S = 10;

type Cut = (from: Place, to: Place) => boolean;

/** The zone of the registry is `b`. */
const zone = (place: Place): string => place.zone ?? "b";
const pairs = new Set(["caller-a bank-b-1", "caller-a bank-b-2", "caller-b bank-a-3", "caller-b bank-b-1"]);

const cuts: readonly (readonly [string, Cut])[] = [
  ["zones apart", (from, to) => zone(from) !== zone(to)],
  ["nothing from a to b", (from, to) => zone(from) === "a" && zone(to) === "b"],
  ["nothing from b to a", (from, to) => zone(from) === "b" && zone(to) === "a"],
  ["four pairs apart", (from, to) => pairs.has(`${from.name} ${to.name}`) || pairs.has(`${to.name} ${from.name}`)],
];
const PHASE_S = PARTED_S + HEALED_S;

/** What is known of every call by its number. */
class Ledger {
  /** When its caller gives it up. */
  readonly deadlines: number[] = [];
  readonly payments = new Map<number, number>();
  /** The longest that a call went on after its deadline, and the latest that one was begun to be served; milliseconds. */
  overtime = -Infinity;
  latest = -Infinity;
  ended = 0;

  served(n: number, nowMs: number): void {
    this.latest = Math.max(this.latest, nowMs - this.deadlines[n]!);
  }

  paid(n: number): void {
    this.payments.set(n, (this.payments.get(n) ?? 0) + 1);
  }

  get twice(): number {
    return [...this.payments.values()].filter((times) => times > 1).length;
  }
}

async function open(world: World, ours: boolean, ledger: Ledger): Promise<void> {
  for (const name of ["a", "b"]) {
    await world.machines(
      `bank-${name}`,
      3,
      async (process) => {
        const { clock } = process;
        const bank = implement(
          Bank,
          {
            async read(_ctx, request) {
              ledger.served(request.n, world.clock.now());
              return request;
            },
            async pay(_ctx, request) {
              ledger.served(request.n, world.clock.now());
              ledger.paid(request.n);
              return request;
            },
          },
          { use: [process.work(uniform(5, 15)), ...(ours ? [atMostOnce({ clock })] : [])], validateOutput: false },
        );
        await process.host({ serve: [bank], use: ours ? serverDefaults({ clock }) : [] });
      },
      { zone: name },
    );
  }
}

interface Outcome {
  readonly ledger: Ledger;
  readonly traffic: readonly Traffic[];
}

function play(seed: number, ours: boolean, duplication: number): Promise<Outcome> {
  return simulate({ seed }, async (world) => {
    const ledger = new Ledger();
    await open(world, ours, ledger);
    world.network.duplication = duplication;
    const traffic: Traffic[] = [];
    const start = (process: Process, method: "read" | "pay"): void => {
      const options = ours
        ? { timeoutMs: TIMEOUT_MS, use: [idempotencyKeys({ random: process.random })] }
        : naive(4, TIMEOUT_MS);
      const bank = process.client(Bank, options);
      const call = async (ctx: Context): Promise<void> => {
        const n = ledger.deadlines.push(world.clock.now() + TIMEOUT_MS) - 1;
        try {
          await bank[method](ctx, { n });
        } finally {
          ledger.ended++;
          ledger.overtime = Math.max(ledger.overtime, world.clock.now() - ledger.deadlines[n]!);
        }
      };
      traffic.push(world.traffic(`${process.place.name} ${method}`, { perSecond: 40, ctx: process.ctx, call }));
    };
    for (const name of ["a", "b"]) {
      const caller = await world.caller(`caller-${name}`, { zone: name });
      start(caller, "read");
      start(caller, "pay");
    }
    await world.run(CALM_S * 1000);
    for (const [, cut] of duplication > 0 ? [] : cuts) {
      const heal = world.network.cut(cut);
      await world.run(PARTED_S * 1000);
      heal();
      await world.run(HEALED_S * 1000);
    }
    await world.run(20_000);
    for (const stream of traffic) stream.stop();
    await world.run(10_000);
    return { ledger, traffic };
  });
}

/** Seconds of a phase over all traffic: what was served, of what began. */
function served(traffic: readonly Traffic[], from: number, to: number): number {
  const parts = traffic.map((stream) => stream.between(from * 1000, to * 1000));
  return parts.reduce((sum, { ok }) => sum + ok, 0) / parts.reduce((sum, { began }) => sum + began, 0);
}

export const partition: Scenario = {
  name: "partition",
  summary: "zones, directions and pairs are cut off, the registry with one of them; requests arrive twice",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const expectations: Expectation[] = [];
    const lines = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive, 3 retries";
      progress(`${name}, four partitions`);
      const { ledger, traffic } = await play(seed, ours, 0);
      const figures: Record<string, number> = {};
      let fewest = 1;
      let longest = 0;
      for (const [i, [what]] of cuts.entries()) {
        const begins = CALM_S + i * PHASE_S;
        const heals = begins + PARTED_S;
        figures[what] = served(traffic, begins, heals) * 100;
        fewest = Math.min(fewest, served(traffic, heals - 10, heals));
        for (const { intervals } of traffic)
          longest = Math.max(longest, recovery(intervals.slice(0, heals + HEALED_S), heals, 5));
      }
      progress(`${name}, every tenth request twice`);
      const twice = await play(seed, ours, 0.1);
      rows.push({
        name,
        figures: {
          ...figures,
          "well after s": longest,
          "over time ms": ledger.overtime,
          "begun after ms": ledger.latest,
          "paid twice": ledger.twice,
          "paid twice, requests twice": twice.ledger.twice,
        },
      });
      const seconds = CALM_S + cuts.length * PHASE_S;
      const share = (s: number): number => 100 * served(traffic, s, s + 1);
      lines.push({ name, values: Array.from({ length: seconds }, (_, s) => share(s)) });
      if (!ours) {
        expectations.push({ what: `${name}: payments made twice`, figure: ledger.twice, min: 1 });
        continue;
      }
      expectations.push(
        { what: "calls that have not ended", figure: ledger.deadlines.length - ledger.ended, max: 0 },
        { what: "how long after its deadline a call ends, ms", figure: ledger.overtime, max: 20 },
        { what: "how long after its deadline a call is begun to be served, ms", figure: ledger.latest, max: 20 },
        { what: "served in the second half of a partition, the least", figure: fewest, min: 0.95 },
        { what: "well again after a partition, seconds", figure: longest, max: 3 },
        { what: "payments made twice", figure: ledger.twice, max: 0 },
        { what: "payments made twice where requests arrive twice", figure: twice.ledger.twice, max: 0 },
      );
    }
    return { rows, expectations, panels: [{ title: "Served, of what is asked", unit: "%", max: 100, lines }] };
  },
};
