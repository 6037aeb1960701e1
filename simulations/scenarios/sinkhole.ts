import { leastRequest, roundRobin } from "flotilla/balance";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { exponential, type SimChannelOptions, simulate } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { echo, figuresOf, Shop } from "../lib/shop.ts";

const none: SimChannelOptions = { retry: false, throttle: false };

export const sinkhole: Scenario = {
  name: "sinkhole",
  summary: "one of ten instances fails at once, and looks like the one with the least to do",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const expectations = [];
    const cases: readonly (readonly [string, SimChannelOptions])[] = [
      ["round robin alone", { ...none, balance: roundRobin(), ejection: false }],
      ["least request alone", { ...none, balance: leastRequest(), ejection: false }],
      ["with ejection", none],
      ["all defaults", {}],
    ];
    for (const [name, options] of cases) {
      progress(name);
      const { whole, later, errors } = await simulate({ seed }, async (world) => {
        let broken = false;
        await world.machines("shop", 10, async (process) => {
          const work = process.work(exponential(10));
          const sink = process.place.name === "shop-1";
          const shop = implement(
            Shop,
            {
              ...echo,
              async order(ctx, request) {
                if (sink && broken) throw new ServiceError("internal", "disk full");
                return echo.order(ctx, request);
              },
            },
            {
              use: [
                (next, method) =>
                  sink
                    ? (ctx, request) => (broken ? next(ctx, request) : work(next, method)(ctx, request))
                    : work(next, method),
              ],
              validateOutput: false,
            },
          );
          await process.host({ serve: [shop], onError() {} });
        });
        const caller = await world.caller("caller");
        const client = caller.client(Shop, options);
        const traffic = world.traffic("all", {
          perSecond: 500,
          ctx: caller.ctx,
          call: (ctx, n) => client.order(ctx, { n }),
          timeoutMs: 1000,
        });
        await world.run(10_000);
        broken = true;
        await world.run(50_000);
        const share = traffic.intervals.map((interval) => (interval.began - interval.ok) / interval.began);
        return { whole: traffic.between(10_000, 60_000), later: traffic.between(20_000, 59_000), errors: share };
      });
      rows.push({ name, figures: figuresOf(whole, 50) });
      lines.push({ name, values: errors.slice(0, 59).map((share) => share * 100) });
      if (name === "round robin alone") {
        expectations.push({ what: "round robin alone: failed calls", figure: 1 - whole.ok / whole.began, min: 0.08 });
      }
      if (name === "with ejection") {
        const failed = Object.values(later.failed).reduce((sum, count) => sum + count, 0);
        expectations.push({
          what: "failed calls one interval later, without retries",
          figure: failed / later.began,
          max: 0.01,
        });
      }
      if (name === "all defaults") {
        expectations.push({
          what: "failed calls in all with all defaults",
          figure: 1 - whole.ok / whole.began,
          max: 0.01,
        });
      }
    }
    return { rows, expectations, panels: [{ title: "Failed calls", unit: "%", lines }] };
  },
};
