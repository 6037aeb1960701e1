import { serverDefaults } from "flotilla/service";
import { simulate } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { figuresOf, openShop, Shop } from "../lib/shop.ts";

export const registryLoss: Scenario = {
  name: "registry-loss",
  summary: "the registry is gone for ten minutes, in which one of four machines dies",
  async run({ seed, progress }: Run): Promise<Result> {
    progress("12 minutes");
    const { during, after, known, series } = await simulate({ seed, intervalMs: 5000 }, async (world) => {
      const machines = await openShop(world, { n: 4, use: (process) => serverDefaults({ clock: process.clock }) });
      const caller = await world.caller("caller");
      const shop = caller.client(Shop);
      const traffic = world.traffic("all", {
        perSecond: 150,
        ctx: caller.ctx,
        call: (ctx, n) => shop.order(ctx, { n }),
        timeoutMs: 2000,
      });
      await world.run(30_000);
      world.registry.down();
      await world.run(300_000);
      machines[0]!.crash();
      await world.run(300_000);
      world.registry.up();
      await world.run(60_000);
      traffic.stop();
      await world.run(5000);
      const failed = traffic.intervals.map(({ began, ok }) => began - ok);
      return {
        during: traffic.between(30_000, 630_000),
        after: traffic.between(640_000),
        known: world.registry.known(Shop.name).length,
        series: failed,
      };
    });
    return {
      rows: [
        { name: "registry down", figures: { ...figuresOf(during, 600), "failed calls": during.began - during.ok } },
        { name: "registry back", figures: { ...figuresOf(after, 50), "failed calls": after.began - after.ok } },
      ],
      expectations: [
        { what: "calls served while the registry is gone", figure: during.ok / during.began, min: 0.9999 },
        { what: "instances known in the end", figure: known, min: 3, max: 3 },
      ],
      panels: [
        { title: "Failed calls in 5 s", unit: "calls", intervalMs: 5000, lines: [{ name: "failed", values: series }] },
      ],
    };
  },
};
