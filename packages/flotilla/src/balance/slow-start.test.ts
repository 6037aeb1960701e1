import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { exponential } from "../clock/distribution.ts";
import { type Random, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { implement } from "../service/implement.ts";
import { simulate } from "../sim/world.ts";
import { balancerContract } from "../testing/balancer-contract.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { leastRequest } from "./least-request.ts";
import { maglev } from "./maglev.ts";
import { peakEwma } from "./peak-ewma.ts";
import { prequal } from "./prequal.ts";
import { random } from "./random.ts";
import { ringHash } from "./ring-hash.ts";
import { roundRobin } from "./round-robin.ts";
import { type SlowStartOptions, slowStart } from "./slow-start.ts";
import { weightedRoundRobin } from "./weighted-round-robin.ts";

const key = (): undefined => undefined;
const inners: Record<string, BalancerFactory> = {
  roundRobin: roundRobin(),
  weightedRoundRobin: weightedRoundRobin(),
  random: random(),
  leastRequest: leastRequest(),
  peakEwma: peakEwma(),
  prequal: prequal(),
  ringHash: ringHash({ key }),
  maglev: maglev({ key, tableSize: 4099 }),
};

for (const [name, inner] of Object.entries(inners)) {
  describe(`slowStart around ${name} keeps the balancer contract`, () => {
    for (const { name: what, run } of balancerContract(slowStart({}, inner), { weighted: name !== "roundRobin" })) {
      test(what, run);
    }
  });
}

interface Made extends Candidate {
  inFlight: number;
}

const candidates = (n: number, weight: (i: number) => number = () => 1): Made[] =>
  Array.from({ length: n }, (_, i) => ({
    instance: { id: `instance-${i}`, address: `http://h${i}`, weight: weight(i) },
    inFlight: 0,
  }));

/** A balancer that has known the first of these for long. */
async function settled(inner: BalancerFactory, known: readonly Made[], options: SlowStartOptions = {}) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const balancer: Balancer<Made> = slowStart(options, inner)({ clock, random: seededRandom(7) });
  balancer.update(known);
  await clock.run(60_000);
  const shares = (picks: number, tried?: ReadonlySet<Made>): Map<Made, number> => {
    const counts = new Map<Made, number>();
    for (let i = 0; i < picks; i++) {
      const picked = balancer.pick(ctx, tried)!;
      counts.set(picked, (counts.get(picked) ?? 0) + 1 / picks);
      balancer.done?.(picked, 1, undefined, clock.now());
    }
    return counts;
  };
  return { clock, ctx, balancer, shares };
}

describe("a candidate that joins others", () => {
  for (const [name, inner] of Object.entries(inners)) {
    test(`gets a share that grows to the full one, and the others share the rest alike: ${name}`, async () => {
      const list = candidates(10);
      const { clock, balancer, shares } = await settled(inner, list.slice(0, 9));
      // What was measured of the others.
      shares(2000);
      balancer.update(list);
      for (const [atMs, share] of [
        [0, 0.1],
        [1000, 0.1],
        [5000, 0.5],
        [9000, 0.9],
        [10_000, 1],
      ] as const) {
        await clock.run(atMs + 60_000 - clock.now());
        const got = shares(20_000);
        const own = (got.get(list[9]!) ?? 0) * 10;
        // Of two choices one that never answered is the better until it has; by hash shares differ by chance.
        assert.ok(own > share * 0.6 && own < share * 1.5 + 0.05, `${own} of ${share} after ${atMs} ms`);
        for (const other of list.slice(0, 9)) {
          const others = got.get(other)! * 10;
          assert.ok(others > 0.6 && others < 1.6, `${others} for another after ${atMs} ms`);
        }
      }
    });
  }

  test("gets just the share of the formula, for any options, age and weight", async () => {
    const cases = fc.record({
      windowMs: fc.integer({ min: 100, max: 100_000 }),
      aggression: fc.double({ min: 0.3, max: 4, noNaN: true }),
      minShare: fc.double({ min: 0.02, max: 0.9, noNaN: true }),
      age: fc.double({ min: 0, max: 1.2, noNaN: true }),
      weight: fc.integer({ min: 1, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ windowMs, aggression, minShare, age, weight }) => {
        const list = candidates(8, (i) => (i === 7 ? weight : 3));
        const { clock, balancer, shares } = await settled(random(), list.slice(0, 7), {
          windowMs,
          aggression,
          minShare,
        });
        await clock.run(windowMs);
        balancer.update(list);
        await clock.run(age * windowMs);
        const picks = 10_000;
        const got = shares(picks).get(list[7]!) ?? 0;
        const expected = (weight / (21 + weight)) * Math.min(1, Math.max(minShare, age ** (1 / aggression)));
        // Six standard deviations: about one false alarm in 10^9.
        const bound = 6 * Math.sqrt((expected * (1 - expected)) / picks);
        assert.ok(Math.abs(got - expected) <= bound, `${got} of ${expected}`);
      }),
      { numRuns: 60 },
    );
  });

  test("is rather picked than one that was tried", async () => {
    for (const inner of Object.values(inners)) {
      const list = candidates(10);
      const { ctx, balancer } = await settled(inner, list.slice(0, 9));
      balancer.update(list);
      const tried = new Set(list.slice(0, 9));
      for (let i = 0; i < 50; i++) assert.equal(balancer.pick(ctx, tried), list[9]);
      for (let i = 0; i < 50; i++) assert.ok(list.includes(balancer.pick(ctx, new Set(list))!));
    }
  });

  test("begins anew when it was gone meanwhile; one that goes is forgotten", async () => {
    const list = candidates(10);
    const { clock, balancer, shares } = await settled(random(), list);
    balancer.update(list.slice(1));
    await clock.run(100);
    balancer.update(list);
    assert.ok((shares(10_000).get(list[0]!) ?? 0) < 0.02);
    balancer.update(list.slice(1));
    assert.equal(shares(1000).get(list[0]!), undefined);
  });
});

describe("nobody starts slowly", () => {
  const fair = (got: ReadonlyMap<Made, number>, list: readonly Made[]): void => {
    for (const candidate of list) {
      const share = (got.get(candidate) ?? 0) * list.length;
      assert.ok(share > 0.8 && share < 1.2, `${share} of 1`);
    }
  };

  test("who is there from the start, or comes soon after it", async () => {
    const clock = new VirtualClock();
    const ctx = background(clock);
    const list = candidates(4);
    const balancer: Balancer<Made> = slowStart({}, random())({ clock, random: seededRandom(2) });
    for (let n = 1; n <= 4; n++) {
      balancer.update(list.slice(0, n));
      await clock.run(3000);
      const got = new Map<Made, number>();
      for (let i = 0; i < 10_000; i++) {
        const picked = balancer.pick(ctx)!;
        got.set(picked, (got.get(picked) ?? 0) + 1e-4);
      }
      fair(got, list.slice(0, n));
    }
  });

  test("when more than half are new: by coming, or by the going of the others", async () => {
    const list = candidates(20);
    const { balancer, shares, clock } = await settled(random(), list.slice(0, 4));
    balancer.update(list.slice(0, 9));
    fair(shares(20_000), list.slice(0, 9));
    await clock.run(60_000);
    balancer.update(list.slice(0, 18));
    assert.ok((shares(10_000).get(list[17]!) ?? 0) < 0.02, "half of all");
    balancer.update(list.slice(1, 18));
    fair(shares(20_000), list.slice(1, 18));
  });

  test("who is taken back because it is needed", async () => {
    const list = candidates(10);
    const { balancer, shares } = await settled(random(), list);
    balancer.update(list.slice(1));
    balancer.update([{ ...list[0]!, warm: true }, ...list.slice(1)]);
    const got = shares(10_000);
    assert.equal(got.size, 10);
    for (const share of got.values()) assert.ok(share > 0.08 && share < 0.12, `${share}`);
  });

  test("after all have gone", async () => {
    const list = candidates(6);
    const { balancer, shares } = await settled(random(), list.slice(0, 3));
    balancer.update([]);
    balancer.update(list.slice(3));
    fair(shares(20_000), list.slice(3));
  });
});

test("a pick takes no more chance with half of 10,000 new than with one", async () => {
  const list = candidates(10_000);
  const clock = new VirtualClock();
  const ctx = background(clock);
  const source = seededRandom(3);
  let draws = 0;
  const counted: Random = {
    next() {
      draws++;
      return source.next();
    },
  };
  const balancer: Balancer<Made> = slowStart({}, leastRequest())({ clock, random: counted });
  balancer.update(list.slice(0, 5000));
  await clock.run(60_000);
  balancer.update(list);
  await clock.run(2000);
  draws = 0;
  for (let i = 0; i < 1000; i++) balancer.pick(ctx);
  // One for all, and two times two for two choices; a pass over the list would take thousands.
  assert.ok(draws < 6000, `${draws} draws for 1000 picks`);
});

test("where the inner balancer does not listen, neither does this", () => {
  const deps = { clock: new VirtualClock(), random: seededRandom(1) };
  const deaf = slowStart({}, leastRequest())(deps);
  assert.equal(deaf.done, undefined);
  assert.equal(deaf.report, undefined);
  assert.notEqual(slowStart({}, peakEwma())(deps).done, undefined);
  assert.notEqual(slowStart({}, prequal())(deps).report, undefined);
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => slowStart({ windowMs: 0 }, random()), /slowStart: windowMs/);
  assert.throws(() => slowStart({ aggression: Infinity }, random()), /slowStart: aggression/);
  assert.throws(() => slowStart({ minShare: 0 }, random()), /slowStart: minShare/);
  assert.throws(() => slowStart({ minShare: 1.1 }, random()), /slowStart: minShare/);
});

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message, idempotent: true }) });

/** p99 of the calls of five seconds in which one of five machines is replaced, whose first 300 calls take up to five times as long. */
function joined(balance: BalancerFactory, slow: SlowStartOptions | false): Promise<number> {
  return simulate({ seed: 3 }, async (world) => {
    const base = exponential(5);
    const [first] = await world.machines("work", 5, async (process) => {
      let served = 0;
      const sample = (source: Random): number => base.sample(source) * (1 + 4 * Math.max(0, 1 - ++served / 300));
      const work = implement(
        Work,
        { do: async (_ctx, request) => request },
        { use: [process.work({ mean: 5, sample })] },
      );
      await process.host({ serve: [work], use: [] });
    });
    const caller = await world.caller("caller");
    const work = caller.client(Work, { balance, slowStart: slow, retry: false, throttle: false });
    const call = (ctx: typeof caller.ctx, n: number) => work.do(ctx, { n });
    const perSecond = (atMs: number): number => (atMs < 11_000 ? 160 : 600);
    const traffic = world.traffic("calls", { perSecond, ctx: caller.ctx, call, timeoutMs: 3000 });
    world.at(12_000, async () => {
      await first!.stop();
      await first!.start();
    });
    await world.run(17_000);
    traffic.stop();
    await world.run(3000);
    return traffic.between(12_000, 17_000).latency.quantile(0.99);
  });
}

test("simulated: a cold instance that joins does not stall the calls that find it", async () => {
  for (const [balance, times] of [
    [roundRobin(), 10],
    [leastRequest(), 1.5],
  ] as const) {
    const atOnce = await joined(balance, false);
    const slowly = await joined(balance, {});
    assert.ok(slowly * times < atOnce, `p99 ${slowly} ms, ${atOnce} at once`);
  }
});
