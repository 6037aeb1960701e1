import { subset } from "flotilla/discovery";
import { client, implement } from "flotilla/service";
import { constant, simulate } from "flotilla/sim";
import type { Result, Run, Scenario } from "../lib/scenario.ts";
import { echo, Shop } from "../lib/shop.ts";

const INSTANCES = 10_000;
const CLIENTS = 1024;
const SIZE = 20;
const PER_CLIENT = 100;
const SECONDS = 2;

export const fleet: Scenario = {
  name: "fleet",
  summary: "10,000 instances, 1,024 clients that know 20 of them each, at most",
  async run({ seed, progress }: Run): Promise<Result> {
    return simulate(
      { seed, network: { latency: constant(0.5) }, registry: { batchMs: 1000, leaseMs: 600_000 } },
      async (world) => {
        progress(`starting ${INSTANCES} instances`);
        const served = new Map<string, number>();
        const shop = (name: string) =>
          implement(
            Shop,
            {
              ...echo,
              async order(ctx, request) {
                served.set(name, (served.get(name) ?? 0) + 1);
                return echo.order(ctx, request);
              },
            },
            { validateOutput: false },
          );
        const machines = await world.machines("shop", INSTANCES, async (process) => {
          const { name } = process.place;
          await process.host({ serve: [shop(name)], use: [process.work(1)] });
        });
        progress(`starting ${CLIENTS} clients`);
        let connections = 0;
        let most = 0;
        const clientsOf = new Map<string, number>();
        const traffic = [];
        const callers = await world.machines("caller", CLIENTS, () => {});
        for (let i = 0; i < CLIENTS; i++) {
          const caller = callers[i]!.process!;
          const channel = caller.channel({ discover: subset(world.registry.from(caller), { size: SIZE, client: i }) });
          const shopClient = client(Shop, channel);
          const call = (ctx: typeof caller.ctx, n: number) => shopClient.order(ctx, { n });
          traffic.push(
            world.traffic(`t${i}`, {
              perSecond: (atMs) => (atMs > 5000 ? PER_CLIENT : 1),
              ctx: caller.ctx,
              call,
              timeoutMs: 10_000,
            }),
          );
          world.at(world.clock.now() + 5000, () => {
            const known = channel.instances(Shop.name).length;
            connections += known;
            most = Math.max(most, known);
            for (const { id } of channel.instances(Shop.name)) clientsOf.set(id, (clientsOf.get(id) ?? 0) + 1);
          });
        }
        await world.run(5000);
        served.clear();
        progress("calls");
        await world.run(SECONDS * 1000);
        const all = traffic.reduce((sum, each) => sum + each.between().ok, 0);
        const loads = machines.map(({ name }) => served.get(name) ?? 0).sort((a, b) => a - b);
        const fewest = Math.min(...machines.map(({ name }) => clientsOf.get(name) ?? 0));
        const mean = loads.reduce((a, b) => a + b, 0) / loads.length;
        return {
          rows: [
            {
              name: "fleet",
              figures: {
                "calls served": all,
                "connections a client": connections / CLIENTS,
                "calls an instance": mean,
                "p5 of calls": loads[Math.floor(0.05 * INSTANCES)]!,
                "p95 of calls": loads[Math.floor(0.95 * INSTANCES)]!,
              },
            },
          ],
          expectations: [
            { what: "most connections of a client", figure: most, max: SIZE },
            { what: "fewest clients of an instance", figure: fewest, min: Math.floor((CLIENTS * SIZE) / INSTANCES) },
          ],
          panels: [],
        };
      },
    );
  },
};
