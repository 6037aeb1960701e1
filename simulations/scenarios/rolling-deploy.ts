import { serverDefaults } from "flotilla/service";
import { exponential, simulate } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { figuresOf, openShop, Shop } from "../lib/shop.ts";

export const rollingDeploy: Scenario = {
  name: "rolling-deploy",
  summary: "five machines are restarted one after the other under load",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations = [];
    for (const [name, graceful, retry] of [
      ["killed, no retries", false, false],
      ["killed", false, true],
      ["stopped in order, no retries", true, false],
      ["stopped in order", true, true],
    ] as const) {
      progress(name);
      const { all, series } = await simulate({ seed }, async (world) => {
        const machines = await openShop(world, {
          n: 5,
          cores: 4,
          cost: exponential(5),
          use: (process) => serverDefaults({ clock: process.clock }),
        });
        const caller = await world.caller("caller");
        const shop = caller.client(Shop, retry ? {} : { retry: false });
        const traffic = world.traffic("all", {
          perSecond: 2000,
          ctx: caller.ctx,
          call: (ctx, n) => shop.order(ctx, { n }),
          timeoutMs: 2000,
        });
        machines.forEach((machine, i) =>
          world.at(world.clock.now() + 5000 + i * 5000, async () => {
            if (graceful) await machine.stop();
            else machine.crash();
            await machine.start();
          }),
        );
        await world.run(35_000);
        traffic.stop();
        await world.run(3000);
        return { all: traffic.between(), series: traffic.intervals.map(({ began, ok }) => began - ok) };
      });
      rows.push({ name, figures: { ...figuresOf(all, 35), "failed calls": all.began - all.ok } });
      lines.push({ name, values: series });
      if (!graceful && !retry) expectations.push({ what: `${name}: failed calls`, figure: all.began - all.ok, min: 1 });
      if (graceful) expectations.push({ what: `${name}: failed calls`, figure: all.began - all.ok, max: 0 });
    }
    return { rows, expectations, panels: [{ title: "Failed calls", unit: "calls/s", lines }] };
  },
};
