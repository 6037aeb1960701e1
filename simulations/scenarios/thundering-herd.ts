import { type Context, sleep } from "flotilla/context";
import type { Middleware } from "flotilla/endpoint";
import { responseCache, singleFlight } from "flotilla/resilience";
import { serverDefaults } from "flotilla/service";
import {
  constant,
  type Machine,
  type Process,
  type SimChannelOptions,
  simulate,
  uniform,
  type World,
} from "flotilla/sim";
import { naive } from "../lib/naive.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { openShop, Shop, type ShopOptions } from "../lib/shop.ts";

const TIMEOUT_MS = 1000;
const INTERVAL_MS = 250;

interface Service {
  readonly machines: readonly Machine[];
  /** Calls that came in within each interval, refused or not. */
  readonly arrivals: readonly number[];
}

async function open(world: World, ours: boolean, options: ShopOptions): Promise<Service> {
  let arrived = 0;
  const counting: Middleware = (next) => (ctx, request) => {
    arrived++;
    return next(ctx, request);
  };
  const use = (process: Process) => [counting, ...(ours ? serverDefaults({ clock: process.clock }) : [])];
  const machines = await openShop(world, { ...options, use });
  const { values } = world.sample("arrivals", () => {
    const now = arrived;
    arrived = 0;
    return now;
  });
  return { machines, arrivals: values };
}

/** How many times as much as the service can do comes in within the worst interval. */
const peak = (arrivals: readonly number[], perSecond: number): number =>
  (Math.max(...arrivals) * 1000) / INTERVAL_MS / perSecond;

/** An answer that takes 100 ms to work out is asked for 1000 times a second, by four processes that keep it for 2 s. */
function expiry(seed: number, ours: boolean) {
  return simulate({ seed, intervalMs: INTERVAL_MS }, async (world) => {
    const { arrivals } = await open(world, ours, { cost: constant(100) });
    const streams = [];
    for (let i = 0; i < 4; i++) {
      const process = await world.caller(`front-${i}`);
      const { clock, ctx } = process;
      const cache = responseCache({ ttlMs: 2000, clock });
      const plain = naive(4, TIMEOUT_MS);
      const shop = process.client(
        Shop,
        ours ? { use: [cache, singleFlight()] } : { ...plain, use: [cache, ...plain.use!] },
      );
      const call = (inner: Context) => shop.order(inner, { n: 1 });
      streams.push(world.traffic(`front-${i}`, { perSecond: 250, ctx, call, ...(ours && { timeoutMs: TIMEOUT_MS }) }));
    }
    await world.run(30_000);
    for (const stream of streams) stream.stop();
    await world.run(4 * TIMEOUT_MS);
    const all = streams.map((stream) => stream.between());
    const began = all.reduce((sum, each) => sum + each.began, 0);
    const ok = all.reduce((sum, each) => sum + each.ok, 0);
    return { served: ok / began, asked: arrivals.reduce((a, b) => a + b, 0), peak: peak(arrivals, 10) };
  });
}

const CLIENTS = 1000;
/** Calls a second that the service can do which all of them call. */
const CAPACITY = 200;
const twoMachines: ShopOptions = { n: 2, cost: uniform(5, 15) };

/** A thousand processes, a client each. */
async function clients(world: World, options: SimChannelOptions) {
  const machines = await world.machines("client", CLIENTS, () => {});
  return machines.map((machine) => {
    const process = machine.process!;
    return { process, shop: process.client(Shop, options) };
  });
}

/** The service starts again, and all that were connected come back: each is in when a call of its was answered. */
function restart(seed: number, ours: boolean) {
  return simulate({ seed, intervalMs: INTERVAL_MS }, async (world) => {
    const { machines, arrivals } = await open(world, ours, twoMachines);
    const options = ours
      ? { timeoutMs: 60_000, retry: { maxAttempts: 50, baseMs: 500, maxMs: 5000 } }
      : naive(1, TIMEOUT_MS);
    const all = await clients(world, options);
    let connected = 0;
    const { values } = world.sample("connected", () => connected);
    const connect = async (process: Process, shop: (typeof all)[number]["shop"]): Promise<void> => {
      for (;;) {
        try {
          await shop.order(process.ctx, { n: 1 });
          connected++;
          return;
        } catch (error) {
          if (ours) throw error;
          await sleep(process.ctx, 1000);
        }
      }
    };
    await world.run(5000);
    for (const machine of machines) machine.crash();
    for (const { process, shop } of all) connect(process, shop).catch(() => {});
    await world.run(5000);
    for (const machine of machines) world.at(world.clock.now(), () => machine.start());
    const startedAt = values.length;
    await world.run(30_000);
    const last = values.findIndex((value) => value === CLIENTS);
    return {
      connected,
      after: last < 0 ? Infinity : ((last - startedAt) * INTERVAL_MS) / 1000,
      peak: peak(arrivals, CAPACITY),
      series: values,
    };
  });
}

/** Every 20 s all clients do the same, at the same instant. */
function cron(seed: number, ours: boolean, jitterMs: number) {
  return simulate({ seed, intervalMs: INTERVAL_MS }, async (world) => {
    const { arrivals } = await open(world, ours, twoMachines);
    const all = await clients(world, ours ? {} : naive(4, TIMEOUT_MS));
    await world.run(5000);
    let asked = 0;
    let served = 0;
    for (let round = 0; round < 3; round++) {
      for (const { process, shop } of all) {
        asked++;
        sleep(process.ctx, process.random.next() * jitterMs)
          .then(() => shop.order(process.ctx, { n: 1 }))
          .then(
            () => served++,
            () => {},
          );
      }
      await world.run(20_000);
    }
    return { served: served / asked, peak: peak(arrivals, CAPACITY), series: arrivals };
  });
}

export const thunderingHerd: Scenario = {
  name: "thundering-herd",
  summary: "a popular answer expires, a thousand clients come back after a restart, a thousand wake in the same second",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const expectations: Expectation[] = [];
    const comingBack = [];
    const waking = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive";
      progress(`${name}, expiry`);
      const { served, asked, peak: most } = await expiry(seed, ours);
      rows.push({
        name: `expiry, ${name}`,
        figures: { "served %": served * 100, "calls of 60": asked, "peak load": most },
      });
      if (ours)
        expectations.push(
          { what: "expiry: share served", figure: served, min: 0.999 },
          { what: "expiry: calls for 15 expiries in 4 processes", figure: asked, max: 60 },
        );
      else expectations.push({ what: "expiry, naive: calls for 15 expiries in 4 processes", figure: asked, min: 600 });
      progress(`${name}, restart`);
      const { connected, after, peak: first, series } = await restart(seed, ours);
      rows.push({
        name: `restart, ${name}`,
        figures: { "served %": (connected / CLIENTS) * 100, "all after s": after, "peak load": first },
      });
      comingBack.push({ name, values: series });
      expectations.push(
        ours
          ? { what: "restart: all are back after seconds", figure: after, max: 15 }
          : { what: "restart, naive: all are back after seconds", figure: after, min: 30 },
      );
    }
    for (const [name, ours, jitterMs] of [
      ["naive", false, 0],
      ["flotilla", true, 0],
      ["flotilla, jittered", true, 8000],
    ] as const) {
      progress(`${name}, cron`);
      const { served, peak: most, series } = await cron(seed, ours, jitterMs);
      rows.push({ name: `same second, ${name}`, figures: { "served %": served * 100, "peak load": most } });
      waking.push({ name, values: series.map((count) => (count * 1000) / INTERVAL_MS) });
      if (jitterMs > 0)
        expectations.push(
          { what: "same second, jittered: share served", figure: served, min: 0.99 },
          { what: "same second, jittered: peak load", figure: most, max: 1.5 },
        );
      else if (!ours) expectations.push({ what: "same second, naive: share served", figure: served, max: 0.5 });
    }
    return {
      rows,
      expectations,
      panels: [
        {
          title: "Clients that are back after the restart",
          unit: "clients",
          intervalMs: INTERVAL_MS,
          lines: comingBack,
        },
        {
          title: "Calls that come in when a thousand clients wake",
          unit: "calls/s",
          intervalMs: INTERVAL_MS,
          mark: { name: "capacity", at: CAPACITY },
          lines: waking,
        },
      ],
    };
  },
};
