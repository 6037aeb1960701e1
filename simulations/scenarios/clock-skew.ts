import { contract, unary } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import { circuitBreaker, rateLimit, responseCache } from "flotilla/resilience";
import { implement, serverDefaults } from "flotilla/service";
import { type Machine, type Process, simulate, uniform, type World } from "flotilla/sim";
import { heedDeadline, sendDeadline } from "../lib/absolute-deadline.ts";
import type { Expectation, Result, Run, Scenario } from "../lib/scenario.ts";
import { echo, figuresOf, order, Shop } from "../lib/shop.ts";

/** In front of the shop: what it is asked it asks the shop. */
const Gate = contract("sim.v1.Gate", { order: unary({ input: order, output: order, safe: true }) });
/** Methods that a policy stands around whose state has a time. */
const Extras = contract("sim.v1.Extras", {
  limited: unary({ input: order, output: order }),
  cached: unary({ input: order, output: order, safe: true }),
  broken: unary({ input: order, output: order, idempotent: true }),
});

const MINUTE_MS = 60_000;
const SECONDS = 60;
const LIMIT = 50;
const CACHED_MS = 1000;

/** From two minutes behind to three ahead, and 200 ppm too slow to 300 too fast. */
const skew = (i: number) => ({ offsetMs: (i - 2) * MINUTE_MS, drift: (i - 2) * 1e-4 });

async function open(world: World, ours: boolean): Promise<Machine[]> {
  const use = (process: Process) => [
    ...serverDefaults({ clock: process.clock }),
    ...(ours ? [] : [heedDeadline]),
    process.work(uniform(2, 8)),
  ];
  const shop = implement(Shop, echo, { validateOutput: false });
  const machines = [];
  for (let i = 0; i < 4; i++) {
    const name = `shop-${i + 1}`;
    const program = async (process: Process): Promise<void> => {
      await process.host({ serve: [shop], use: use(process) });
    };
    machines.push(await world.machine(name, program, { clock: skew(i + 1) }));
  }
  for (let i = 0; i < 2; i++) {
    const program = async (process: Process): Promise<void> => {
      const below = process.client(Shop, ours ? {} : { use: [sendDeadline] });
      const gate = implement(Gate, { order: (ctx, request) => below.order(ctx, request) }, { validateOutput: false });
      await process.host({ serve: [gate], use: use(process) });
    };
    machines.push(await world.machine(`gate-${i + 1}`, program, { clock: skew(4 * i) }));
  }
  return machines;
}

/** Every two seconds one of the clocks is set, by up to ten minutes, forwards or back. */
function jump(world: World, processes: readonly Process[]): void {
  const random = world.random("jumps");
  const again = (): void => {
    const process = processes[Math.floor(random.next() * processes.length)]!;
    process.clock.jump((2 * random.next() - 1) * 10 * MINUTE_MS);
    world.clock.schedule(2000, again);
  };
  world.clock.schedule(2000, again);
}

/** Calls over two hops, all clocks right or none. */
function calls(seed: number, ours: boolean) {
  return simulate({ seed }, async (world) => {
    const machines = await open(world, ours);
    const caller = await world.caller("caller", { clock: skew(5) });
    const gate = caller.client(Gate, ours ? {} : { use: [sendDeadline] });
    jump(world, [caller, ...machines.map(({ process }) => process!)]);
    const traffic = world.traffic("all", {
      perSecond: 200,
      ctx: caller.ctx,
      call: (ctx, n) => gate.order(ctx, { n }),
      timeoutMs: 500,
    });
    let fewest = Infinity;
    world.sample("known", () => {
      fewest = Math.min(fewest, world.registry.known(Shop.name).length);
      return fewest;
    });
    await world.run(SECONDS * 1000);
    traffic.stop();
    await world.run(1000);
    return { all: traffic.between(), fewest, series: traffic.intervals.map(({ began, ok }) => began - ok) };
  });
}

/** A limit, a cache and a breaker on two machines whose clocks are right, or jump. */
function policies(seed: number, right: boolean) {
  return simulate({ seed }, async (world) => {
    let fetched = 0;
    let broken = false;
    const machine = await world.machine(
      "extras",
      async (process) => {
        const limit = rateLimit({ perSecond: LIMIT, clock: process.clock });
        const extras = implement(
          Extras,
          {
            limited: async (_ctx, request) => request,
            async cached(_ctx, request) {
              fetched++;
              return request;
            },
            async broken(_ctx, request) {
              if (broken) throw new ServiceError("unavailable", "broken");
              return request;
            },
          },
          { use: [(next, method) => (method.name === "limited" ? limit(next, method) : next)], validateOutput: false },
        );
        await process.host({ serve: [extras] });
      },
      right ? {} : { clock: skew(4) },
    );
    const caller = await world.caller("caller", right ? {} : { clock: skew(0) });
    if (!right) jump(world, [caller, machine.process!]);
    const { clock, ctx, random } = caller;
    const client = caller.client(Extras, {
      use: [responseCache({ ttlMs: CACHED_MS, clock }), circuitBreaker({ openMs: 1000, clock, random })],
      retry: false,
    });
    const run = (name: string, call: (inner: typeof ctx) => Promise<unknown>) =>
      world.traffic(name, { perSecond: 100, ctx, call, timeoutMs: 1000 });
    const limited = run("limited", (inner) => client.limited(inner, { n: 1 }));
    run("cached", (inner) => client.cached(inner, { n: 1 }));
    const breaker = run("broken", (inner) => client.broken(inner, { n: 1 }));
    await world.run(20_000);
    broken = true;
    await world.run(10_000);
    broken = false;
    await world.run((SECONDS - 30) * 1000);
    // But for those that are on their way at the end.
    const after = breaker.between(45_000, (SECONDS - 1) * 1000);
    return { admitted: limited.between().ok, fetched, closed: after.ok / after.began };
  });
}

export const clockSkew: Scenario = {
  name: "clock-skew",
  summary: "clocks are minutes apart, drift, and jump by up to ten minutes during calls",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations: Expectation[] = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive: time of day in a header";
      progress(name);
      const { all, fewest, series } = await calls(seed, ours);
      rows.push({ name, figures: { ...figuresOf(all, SECONDS), "failed calls": all.began - all.ok } });
      lines.push({ name, values: series });
      if (!ours) {
        expectations.push({ what: `${name}: failed calls, of all`, figure: 1 - all.ok / all.began, min: 0.05 });
        continue;
      }
      expectations.push(
        { what: "failed calls over two hops", figure: all.began - all.ok, max: 0 },
        { what: "instances known to the registry, the fewest", figure: fewest, min: 4 },
      );
    }
    progress("policies");
    const right = await policies(seed, true);
    const wrong = await policies(seed, false);
    for (const [name, { admitted, fetched, closed }] of [
      ["policies, clocks right", right],
      ["policies, clocks wrong", wrong],
    ] as const) {
      rows.push({
        name,
        figures: { "limit admits": admitted, "cache is filled": fetched, "breaker lets through": closed },
      });
    }
    expectations.push(
      {
        what: "what a rate limit admits, of the same with right clocks",
        figure: wrong.admitted / right.admitted,
        min: 0.97,
        max: 1.03,
      },
      { what: "how often a cache is filled, of the same", figure: wrong.fetched / right.fetched, min: 0.9, max: 1.1 },
      { what: "what a breaker lets through 15 s after a failure", figure: wrong.closed, min: 1 },
    );
    return { rows, expectations, panels: [{ title: "Failed calls", unit: "calls/s", lines }] };
  },
};
