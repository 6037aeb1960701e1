import { type BalancerFactory, leastRequest, roundRobin } from "flotilla/balance";
import { type Instancer, subset } from "flotilla/discovery";
import { client, implement } from "flotilla/service";
import { constant, type Machine, simulate, type World } from "flotilla/sim";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";
import { echo, Shop } from "../lib/shop.ts";

const INSTANCES = 10_000;
const CLIENTS = 1024;
const SIZE = 20;
/** Calls of all clients together. */
const PER_SECOND = 100_000;
/** So many calls a client makes at once: what it answers with is put together from so many answers. */
const AT_ONCE = 10;
/** What a call costs, milliseconds. */
const COST_MS = 0.2;

/** Clients of one kind. */
interface Kind {
  readonly name: string;
  readonly clients: number;
  /** How long they call, seconds. */
  readonly seconds: number;
  readonly balance: BalancerFactory;
  /** What the i-th client knows of the instances. */
  readonly see: (all: Instancer, i: number) => Instancer;
}

interface Outcome {
  /** Of one client. */
  readonly connections: number;
  /** Of one instance, the fewest and the most. */
  readonly clients: readonly [fewest: number, most: number];
  readonly served: number;
  readonly failed: number;
  /** Calls of the instances, as shares of the mean, ascending. */
  readonly loads: readonly number[];
}

async function play(
  world: World,
  machines: readonly Machine[],
  kind: Kind,
  progress: Run["progress"],
): Promise<Outcome> {
  progress(`${kind.name}: ${kind.clients} clients start`);
  const callers = await world.machines(kind.name, kind.clients, () => {});
  const clients = callers.map((machine, i) => {
    const caller = machine.process!;
    const discover = kind.see(world.registry.from(caller), i);
    const channel = caller.channel({ discover, balance: kind.balance });
    return { ctx: caller.ctx, channel, shop: client(Shop, channel) };
  });
  await world.run(3000);
  const clientsOf = new Map(machines.map(({ name }) => [name, 0]));
  const known = clients.map(({ channel }) => channel.instances(Shop.name));
  for (const instances of known) for (const { id } of instances) clientsOf.set(id, clientsOf.get(id)! + 1);

  progress(`${kind.name}: calls`);
  const worked = machines.map(({ process }) => process!.cpu.workedMs);
  // All clients call equally often, in turn: what differs between instances is the choice alone.
  const callOf = (n: number) => clients[Math.floor(n / AT_ONCE) % clients.length]!;
  let begun = 0;
  const traffic = world.traffic(kind.name, {
    perSecond: PER_SECOND,
    ctx: () => callOf(begun++).ctx,
    call: (ctx, n) => callOf(n).shop.order(ctx, { n }),
  });
  await world.run(kind.seconds * 1000);
  traffic.stop();
  await world.run(1000);
  await Promise.all(clients.map(({ channel }) => channel.close()));

  const { began, ok } = traffic.between();
  const mean = ok / machines.length;
  return {
    connections: Math.max(...known.map(({ length }) => length)),
    clients: [Math.min(...clientsOf.values()), Math.max(...clientsOf.values())],
    served: ok,
    failed: began - ok,
    loads: machines
      .map(({ process }, i) => Math.round((process!.cpu.workedMs - worked[i]!) / COST_MS) / mean)
      .sort((a, b) => a - b),
  };
}

const some = (all: Instancer, i: number): Instancer => subset(all, { size: SIZE, client: i });

const kinds: readonly Kind[] = [
  // Ten of them: all would have ten million connections.
  { name: "10 clients, no subset", clients: 10, seconds: 1, balance: leastRequest(), see: (all) => all },
  { name: "subset, least request", clients: CLIENTS, seconds: 2, balance: leastRequest(), see: some },
  // Longer: some clients know 19 and some 20, and with few calls what is left over of whole ones would be most of the difference.
  { name: "subset, round robin", clients: CLIENTS, seconds: 5, balance: roundRobin(), see: some },
];

export const fleet: Scenario = {
  name: "fleet",
  summary: "10,000 instances, 1,024 clients that know 20 of them each, at most",
  async run({ seed, progress }: Run): Promise<Result> {
    return simulate(
      { seed, network: { latency: constant(0.1) }, registry: { batchMs: 1000, leaseMs: 600_000 } },
      async (world) => {
        progress(`starting ${INSTANCES} instances`);
        const shop = implement(Shop, echo, { validateOutput: false });
        const machines = await world.machines("shop", INSTANCES, async (process) => {
          await process.host({ serve: [shop], use: [process.work(COST_MS)] });
        });
        const rows: Row[] = [];
        const expectations: Expectation[] = [];
        for (const kind of kinds) {
          const { connections, clients, served, failed, loads } = await play(world, machines, kind, progress);
          const share = (q: number): number => loads[Math.min(INSTANCES - 1, Math.floor(q * INSTANCES))]!;
          rows.push({
            name: kind.name,
            figures: {
              "calls served": served,
              "connections a client": connections,
              "of 1,000 in all": connections * CLIENTS,
              "least loaded": share(0),
              "p1 of load": share(0.01),
              "p99 of load": share(0.99),
              "most loaded": share(1),
            },
          });
          if (kind.clients < CLIENTS) continue;
          expectations.push(
            { what: `${kind.name}: most connections of a client`, figure: connections, max: SIZE },
            {
              what: `${kind.name}: fewest clients of an instance`,
              figure: clients[0],
              min: Math.floor((CLIENTS * SIZE) / INSTANCES),
            },
            {
              what: `${kind.name}: most clients of an instance`,
              figure: clients[1],
              max: Math.floor((CLIENTS * SIZE) / INSTANCES),
            },
            { what: `${kind.name}: failed calls`, figure: failed, max: 0 },
          );
          // The default looks at calls in flight alone: between instances that have none it is chance.
          const [least, most] = kind.name.endsWith("round robin") ? [0.9, 1.1] : [0.2, 2];
          expectations.push(
            { what: `${kind.name}: load of the least loaded instance, of the mean`, figure: share(0), min: least },
            { what: `${kind.name}: load of the most loaded instance, of the mean`, figure: share(1), max: most },
          );
        }
        return { rows, expectations, panels: [] };
      },
    );
  },
};
