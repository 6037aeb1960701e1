import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { constant, exponential } from "../clock/distribution.ts";
import { type Random, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background, withValue } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import { implement } from "../service/implement.ts";
import type { Machine } from "../sim/machine.ts";
import type { Process } from "../sim/process.ts";
import { simulate } from "../sim/world.ts";
import { balancerContract } from "../testing/balancer-contract.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { leastRequest } from "./least-request.ts";
import { peakEwma } from "./peak-ewma.ts";
import { prequal } from "./prequal.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";
import { weightedRoundRobin } from "./weighted-round-robin.ts";
import { type ZoneAwareOptions, zoneAware } from "./zone-aware.ts";

const inners: Record<string, BalancerFactory> = {
  roundRobin: roundRobin(),
  weightedRoundRobin: weightedRoundRobin(),
  random: random(),
  leastRequest: leastRequest(),
  peakEwma: peakEwma(),
  prequal: prequal(),
};

for (const [name, inner] of Object.entries(inners)) {
  const weighted = name !== "roundRobin";
  describe(`zoneAware around ${name} keeps the balancer contract`, () => {
    for (const { name: what, run } of balancerContract(zoneAware({ zone: "a" }, inner), { weighted })) test(what, run);
  });
  describe(`zoneAware around ${name} keeps the balancer contract where there are zones`, () => {
    const zone = (i: number): string => ["a", "b", "c", "b"][i % 4]!;
    // Zones are not heeded before it is known what calls take.
    for (const { name: what, run } of balancerContract(zoneAware({ zone: "a" }, inner), { weighted, zone })) {
      test(what, run);
    }
  });
}

interface Made extends Candidate {
  inFlight: number;
}

/** So many candidates in each zone, of a weight each. */
const candidates = (zones: Readonly<Record<string, number>>, weight: (zone: string) => number = () => 1): Made[] =>
  Object.entries(zones).flatMap(([zone, n]) =>
    Array.from({ length: n }, (_, i) => ({
      instance: { id: `${zone}-${i}`, address: `http://${zone}-${i}`, zone, weight: weight(zone) },
      inFlight: 0,
    })),
  );

const zoneOf = (candidate: Made | undefined): string => candidate!.instance.zone!;

/** A caller that has been at it for a while: it knows what calls take, everywhere the same unless told otherwise. */
async function settled(options: ZoneAwareOptions, list: readonly Made[], inner = leastRequest(), seed = 1) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const balancer: Balancer<Made> = zoneAware(options, inner)({ clock, random: seededRandom(seed) });
  balancer.update(list);
  const run = async (picks: number, ms: (zone: string) => number = () => 10, tried?: ReadonlySet<Made>) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < picks; i++) {
      const picked = balancer.pick(ctx, tried);
      counts[zoneOf(picked)] = (counts[zoneOf(picked)] ?? 0) + 1 / picks;
      await clock.run(10);
      balancer.done!(picked!, ms(zoneOf(picked)), undefined, clock.now());
    }
    return counts;
  };
  await run(1000);
  return { balancer, ctx, run, clock };
}

describe("calls", () => {
  test("stay in the zone of the caller when it can do them, but for two of a hundred that go anywhere", async () => {
    const { run } = await settled({ zone: "a" }, candidates({ a: 4, b: 4, c: 4 }));
    const counts = await run(5000);
    assert.ok(counts["a"]! > 0.97 && counts["a"]! < 1, `${counts["a"]}`);
    assert.ok(counts["b"]! > 0 && counts["c"]! > 0);
  });

  test("that it cannot do go to those zones that can do more than their own", async () => {
    // A third of the callers, a sixth of the instances: half of the calls stay. c can do all of its own and more, b just its own.
    const { run } = await settled({ zone: "a" }, candidates({ a: 2, b: 4, c: 6 }));
    const counts = await run(8000);
    assert.ok(Math.abs(counts["a"]! - 0.5) < 0.03, `${counts["a"]} of 0.5 in a`);
    assert.ok(counts["b"]! < 0.02, `${counts["b"]} of 0 in b`);
  });

  test("all together give each zone what its instances weigh, whatever their number and that of the clients", async () => {
    const zone = fc.record({
      n: fc.integer({ min: 1, max: 9 }),
      weight: fc.integer({ min: 1, max: 4 }),
      clients: fc.integer({ min: 1, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(zone, { minLength: 2, maxLength: 5 }), async (zones) => {
        const names = zones.map((_, i) => `z${i}`);
        const by = <T>(value: (of: (typeof zones)[number]) => T): Record<string, T> =>
          Object.fromEntries(zones.map((of, i) => [names[i]!, value(of)]));
        const list = candidates(
          by(({ n }) => n),
          (name) => zones[Number(name.slice(1))]!.weight,
        );
        const clients = by((of) => of.clients);
        const all = zones.reduce((sum, of) => sum + of.clients, 0);
        const total = zones.reduce((sum, { n, weight }) => sum + n * weight, 0);
        const load: Record<string, number> = {};
        for (const name of names) {
          const { run } = await settled({ zone: name, clients, minInstances: 1 }, list, random());
          for (const [to, share] of Object.entries(await run(2000))) {
            load[to] = (load[to] ?? 0) + share * (clients[name]! / all);
          }
        }
        for (const [i, { n, weight }] of zones.entries()) {
          const fair = (n * weight) / total;
          const got = load[names[i]!] ?? 0;
          // Six standard deviations of 2000 draws for each zone of callers.
          assert.ok(Math.abs(got - fair) < 6 * Math.sqrt((fair * (1 - fair)) / 2000), `${names[i]}: ${got} of ${fair}`);
        }
      }),
      { numRuns: 15 },
    );
  });

  test("leave a zone that is slower than the others, and come back little by little", async () => {
    const { run } = await settled({ zone: "a" }, candidates({ a: 4, b: 4, c: 4 }));
    await run(500, (zone) => (zone === "a" ? 40 : 10));
    const away = await run(500, (zone) => (zone === "a" ? 40 : 10));
    assert.ok(away["a"]! < 0.45, `${away["a"]} stay`);
    const soon = await run(500);
    const later = (await run(4000), await run(1000));
    assert.ok(soon["a"]! < later["a"]! && later["a"]! > 0.95, `${soon["a"]}, then ${later["a"]}`);
  });

  test("leave a zone in proportion to those of it that are down", async () => {
    const list = candidates({ a: 4, b: 4, c: 4 });
    const { run } = await settled({ zone: "a" }, list);
    const down = new Set(list.slice(0, 2));
    await run(500, undefined, down);
    const counts = await run(4000, undefined, down);
    // Two of ten that are up, for a third of the calls.
    assert.ok(Math.abs(counts["a"]! - 0.6) < 0.06, `${counts["a"]} of 0.6 stay`);
    const gone = new Set(list.slice(0, 4));
    const none = await run(1000, undefined, gone);
    assert.equal(none["a"], undefined);
  });

  test("that are tried again go to another zone, then to that of the caller", async () => {
    const list = candidates({ a: 4, b: 4, c: 4 });
    const { balancer, ctx } = await settled({ zone: "a" }, list);
    const again = (first: Made): string => {
      const attempts = { count: 1, first, tried: undefined, instance: first.instance };
      return zoneOf(balancer.pick(withValue(ctx, attemptsKey, attempts), new Set([first])));
    };
    const after = new Set(Array.from({ length: 200 }, () => again(list[0]!)));
    assert.deepEqual([...after].sort(), ["b", "c"]);
    for (let i = 0; i < 50; i++) assert.equal(again(list[5]!), "a");
  });
});

describe("zones are not heeded", () => {
  const even = async (options: ZoneAwareOptions, list: readonly Made[]): Promise<void> => {
    const { run } = await settled(options, list);
    const counts = await run(4000);
    for (const zone of new Set(list.map(zoneOf))) {
      const fair = list.filter((candidate) => zoneOf(candidate) === zone).length / list.length;
      assert.ok(Math.abs((counts[zone] ?? 0) - fair) < 0.06, `${zone}: ${counts[zone]} of ${fair}`);
    }
  };

  test("of few instances", () => even({ zone: "a" }, candidates({ a: 2, b: 3 })));
  test("where the caller is alone", () => even({ zone: "a" }, candidates({ b: 6, c: 3 })));
  test("where there is only one", () => even({ zone: "a" }, candidates({ a: 8 })));

  test("for a while after there were too few, nor is anything lost on the way", async () => {
    const list = candidates({ a: 4, b: 4, c: 4 });
    const { balancer, ctx, run } = await settled({ zone: "a" }, list, peakEwma());
    for (const n of [12, 3, 12, 0, 12, 5, 12]) {
      balancer.update(list.slice(0, n));
      for (let i = 0; i < 100; i++) {
        const picked = balancer.pick(ctx);
        assert.ok(n === 0 ? picked === undefined : list.indexOf(picked!) < n);
      }
      if (n > 0) await run(50);
    }
  });
});

test("any order of picks, updates and ends keeps to what is listed and not tried", async () => {
  const pool = candidates({ a: 8, b: 4, c: 8, d: 1 });
  const step = fc.record({ n: fc.nat(0xffff), kind: fc.nat(9) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
      const { balancer, ctx, clock } = await settled({ zone: "a" }, pool, prequal());
      let list: readonly Made[] = pool;
      for (const { n, kind } of steps) {
        if (kind === 0) balancer.update((list = pool.filter((_, i) => (n >> (i % 16)) & 1)));
        await clock.run(n % 50);
        const tried = new Set(pool.filter((_, i) => (n >> ((i * 7) % 16)) & 1));
        const picked = balancer.pick(ctx, tried);
        if (list.length === 0) assert.equal(picked, undefined);
        else {
          assert.ok(list.includes(picked!));
          assert.ok(!tried.has(picked!) || list.every((candidate) => tried.has(candidate)));
          balancer.done!(picked!, n % 100, undefined, clock.now());
          balancer.report!(picked!, { requestsInFlight: n % 20, latencyMs: n % 30 }, clock.now());
        }
      }
    }),
    { numRuns: 40 },
  );
});

test("a pick of 10,000 takes as much chance as one of ten", async () => {
  for (const n of [3, 3000]) {
    const source = seededRandom(3);
    let draws = 0;
    const counted: Random = {
      next() {
        draws++;
        return source.next();
      },
    };
    const clock = new VirtualClock();
    const balancer: Balancer<Made> = zoneAware({ zone: "a" }, leastRequest())({ clock, random: counted });
    const list = candidates({ a: n, b: n, c: n });
    balancer.update(list);
    const ctx = background(clock);
    for (let i = 0; i < 1000; i++) balancer.pick(ctx, i % 2 === 0 ? undefined : new Set(list.slice(0, 1)));
    assert.ok(draws < 5000, `${draws} draws for 1000 picks`);
  }
});

test("where the inner balancer does not hear reports, neither does this", () => {
  const deps = { clock: new VirtualClock(), random: seededRandom(1) };
  assert.equal(zoneAware({ zone: "a" }, leastRequest())(deps).report, undefined);
  assert.notEqual(zoneAware({ zone: "a" }, prequal())(deps).report, undefined);
});

test("options that are not legal are refused, by name", () => {
  const make = (options: ZoneAwareOptions) => () => zoneAware(options, random());
  assert.throws(make({ zone: "" }), /zoneAware: zone/);
  assert.throws(make({ zone: "a", minInstances: 0 }), /zoneAware: minInstances/);
  assert.throws(make({ zone: "a", clients: { b: 1 } }), /zoneAware: clients must be more than 0 in a/);
  assert.throws(make({ zone: "a", clients: { a: 1, b: -1 } }), /zoneAware: clients must be 0 or more in each zone/);
});

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message, idempotent: true }) });

/** Three zones of so many machines and callers each, 0.2 ms within one, 2 ms between two; one is lost after 15 s of 20. */
function zones(machines: readonly number[], callers: readonly number[], lost?: number) {
  const near = constant(0.2);
  const far = constant(2);
  return simulate({ seed: 5, network: { latency: (a, b) => (a.zone === b.zone ? near : far) } }, async (world) => {
    let stayed = 0;
    let settling = true;
    const served = machines.map(() => 0);
    const groups: Machine[][] = [];
    for (const [i, n] of machines.entries()) {
      const program = async (process: Process): Promise<void> => {
        const work = implement(
          Work,
          {
            async do(_ctx, { n: from }) {
              if (!settling) served[i]!++;
              if (!settling && from === i) stayed++;
              return { n: i };
            },
          },
          { use: [process.work(exponential(10))] },
        );
        await process.host({ serve: [work], use: [] });
      };
      groups.push(await world.machines(`work-${i}`, n, program, { zone: `z${i}` }));
    }
    const perSecond = (50 * machines.reduce((a, b) => a + b)) / callers.reduce((a, b) => a + b);
    const streams = [];
    for (const [i, n] of callers.entries()) {
      for (let k = 0; k < n; k++) {
        const caller = await world.caller(`caller-${i}-${k}`, { zone: `z${i}` });
        const balance = zoneAware({ zone: `z${i}` }, leastRequest());
        const work = caller.client(Work, { balance, throttle: false, retry: { perTryTimeoutMs: 500 } });
        const call = (ctx: typeof caller.ctx) => work.do(ctx, { n: i });
        streams.push(world.traffic(`calls-${i}-${k}`, { perSecond, ctx: caller.ctx, call, timeoutMs: 3000 }));
      }
    }
    world.at(10_000, () => void (settling = false));
    if (lost !== undefined) world.at(15_000, () => groups[lost]!.forEach((machine) => machine.crash()));
    await world.run(20_000);
    for (const stream of streams) stream.stop();
    await world.run(3000);
    const calls = streams.map((stream) => stream.between());
    const all = served.reduce((a, b) => a + b);
    const instances = machines.reduce((a, b) => a + b);
    return {
      failed: calls.reduce((sum, { began, ok }) => sum + began - ok, 0),
      stayed: stayed / all,
      /** Load of each zone, of what it would be if all instances had the same. */
      loads: served.map((count, i) => (count / all) * (instances / machines[i]!)),
    };
  });
}

describe("simulated, half of what all can do", () => {
  test("equal zones: nearly all calls stay, and no zone has more to do than another", async () => {
    const { stayed, loads, failed } = await zones([3, 3, 3], [2, 2, 2]);
    assert.ok(stayed > 0.96, `${stayed} of the calls stay`);
    for (const load of loads) assert.ok(load < 1.1, `${load} times its load`);
    assert.equal(failed, 0);
  });

  test("unequal zones: most calls stay, and the small ones are not overrun", async () => {
    const { stayed, loads, failed } = await zones([6, 2, 2], [2, 2, 2]);
    // A third, and twice a fifth.
    assert.ok(stayed > 0.68, `${stayed} of the calls stay`);
    for (const load of loads) assert.ok(load < 1.1, `${load} times its load`);
    assert.equal(failed, 0);
  });

  test("all callers in one zone, and nobody knows: it has no more than one and a half times its load", async () => {
    const { loads, failed } = await zones([3, 3, 3], [6, 0, 0]);
    assert.ok(loads[0]! < 1.7 && loads[0]! > 1.1, `${loads[0]} times its load`);
    assert.equal(failed, 0);
  });

  test("a zone is lost: no call fails", async () => {
    const { failed } = await zones([3, 3, 3], [2, 2, 2], 0);
    assert.equal(failed, 0);
  });
});
