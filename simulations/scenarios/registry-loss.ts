import { serverDefaults } from "flotilla/service";
import { simulate } from "flotilla/sim";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { figuresOf, openShop, Shop } from "../lib/shop.ts";

/** What becomes of calls while the registry is down, and when it is back. */
function play(seed: number, ours: boolean) {
  return simulate({ seed, intervalMs: 5000 }, async (world) => {
    const machines = await openShop(world, { n: 4, use: (process) => serverDefaults({ clock: process.clock }) });
    const caller = await world.caller("caller");
    const shop = caller.client(Shop, ours ? {} : { maxStaleMs: 0 });
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
}

export const registryLoss: Scenario = {
  name: "registry-loss",
  summary: "the registry is gone for ten minutes, in which one of four machines dies",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows: Row[] = [];
    const lines = [];
    const expectations: Expectation[] = [];
    for (const ours of [false, true]) {
      const name = ours ? "flotilla" : "naive, which knows nobody without the registry";
      progress(`${name}, 12 minutes`);
      const { during, after, known, series } = await play(seed, ours);
      for (const [when, span, seconds] of [
        ["registry down", during, 600],
        ["registry back", after, 50],
      ] as const) {
        rows.push({
          name: `${name}: ${when}`,
          figures: { ...figuresOf(span, seconds), "failed calls": span.began - span.ok },
        });
      }
      lines.push({ name, values: series });
      const what = `${name}: calls served while the registry is gone`;
      const figure = during.ok / during.began;
      expectations.push(ours ? { what, figure, min: 0.9999 } : { what, figure, max: 0.1 });
      if (ours) expectations.push({ what: "instances known in the end", figure: known, min: 3, max: 3 });
    }
    return {
      rows,
      expectations,
      panels: [{ title: "Failed calls in 5 s", unit: "calls", intervalMs: 5000, lines }],
    };
  },
};
