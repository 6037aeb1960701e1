import { contract, type Implementation, unary } from "flotilla/contract";
import type { Middleware } from "flotilla/endpoint";
import { implement } from "flotilla/service";
import { type Distribution, exponential, type Interval, type Machine, type Process, type World } from "flotilla/sim";
import { z } from "zod";

/** What is asked and answered. */
export const order = z.object({ n: z.number() });

/** What the simulated services do: one method, safe to repeat. */
export const Shop = contract("sim.v1.Shop", {
  order: unary({ input: order, output: order, safe: true }),
});

/** Answers with what was asked. */
export const echo: Implementation<typeof Shop> = { order: async (_ctx, request) => request };

/** What a shop is made with. */
export interface ShopOptions {
  /** Machines. Default 1. */
  readonly n?: number;
  readonly cores?: number;
  /** What one call costs a core, milliseconds. Default: exponential, 10 on average. */
  readonly cost?: Distribution;
  /** What taking in a request costs, milliseconds. Default 0.05. */
  readonly receiveMs?: number;
  /** Around all that is served. Default: none of ours. */
  readonly use?: (process: Process) => readonly Middleware[];
}

/** Machines that serve {@link Shop}, each call at the cost of processor time. */
export function openShop(world: World, options: ShopOptions = {}): Promise<Machine[]> {
  const { n = 1, cores = 1, cost = exponential(10), receiveMs = 0.05, use = () => [] } = options;
  return world.machines(
    "shop",
    n,
    async (process) => {
      const shop = implement(Shop, echo, { use: [process.work(cost)], validateOutput: false });
      await process.host({ serve: [shop], use: use(process) });
    },
    { cores, receiveMs },
  );
}

/** What stands out of what became of some calls. */
export function figuresOf(interval: Interval, seconds: number): Record<string, number> {
  const failed = Object.values(interval.failed).reduce((sum, count) => sum + count, 0);
  return {
    "offered/s": interval.began / seconds,
    "served/s": interval.ok / seconds,
    "failed %": interval.began === 0 ? 0 : (failed / interval.began) * 100,
    "p50 ms": interval.latency.quantile(0.5),
    "p99 ms": interval.latency.quantile(0.99),
  };
}
