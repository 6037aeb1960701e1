import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { hash32 } from "../codec/hash.ts";
import type { Context } from "../context/context.ts";
import { contextKey } from "../context/key.ts";
import { background, withValue } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import { balancerContract } from "../testing/balancer-contract.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { maglev } from "./maglev.ts";
import { peakEwma } from "./peak-ewma.ts";
import { ringHash } from "./ring-hash.ts";
import { weightedRoundRobin } from "./weighted-round-robin.ts";

const userKey = contextKey<string>("test.user");
const key = (ctx: Context): string | undefined => ctx.value(userKey);

const all: Record<string, BalancerFactory> = {
  weightedRoundRobin: weightedRoundRobin(),
  peakEwma: peakEwma(),
  ringHash: ringHash({ key }),
  maglev: maglev({ key, tableSize: 4099 }),
};

for (const [name, factory] of Object.entries(all)) {
  describe(`${name} keeps the balancer contract`, () => {
    for (const { name: what, run } of balancerContract(factory)) test(what, run);
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

const clock = new VirtualClock();
const ctx = background(clock);
const make = (factory: BalancerFactory, seed = 1): Balancer<Made> => factory({ clock, random: seededRandom(seed) });

/** How often each is picked. */
function counts(
  balancer: Balancer<Made>,
  list: readonly Made[],
  picks: number,
  under: (i: number) => Context = () => ctx,
): number[] {
  const result = new Map<Made, number>(list.map((candidate) => [candidate, 0]));
  for (let i = 0; i < picks; i++) {
    const picked = balancer.pick(under(i))!;
    result.set(picked, result.get(picked)! + 1);
    balancer.done?.(picked, 1, undefined, clock.now());
  }
  return [...result.values()];
}

describe("weightedRoundRobin", () => {
  test("over the rounds each is picked as its weight says", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 }),
        fc.nat(),
        (weights, seed) => {
          const balancer = make(weightedRoundRobin(), seed);
          const list = candidates(weights.length, (i) => weights[i]!);
          balancer.update(list);
          const total = weights.reduce((a, b) => a + b, 0);
          const got = counts(balancer, list, total * 50);
          got.forEach((count, i) => {
            assert.ok(
              Math.abs(count - weights[i]! * 50) <= 50 * 0.1 * weights[i]! + 2,
              `${count} of ${weights[i]! * 50}`,
            );
          });
        },
      ),
    );
  });

  test("picks of one are spread, not in a row", () => {
    const balancer = make(weightedRoundRobin());
    const list = candidates(4, (i) => (i === 0 ? 3 : 1));
    balancer.update(list);
    let row = 0;
    for (let i = 0; i < 600; i++) {
      row = balancer.pick(ctx) === list[0] ? row + 1 : 0;
      assert.ok(row <= 3);
    }
  });
});

describe("peakEwma", () => {
  test("sends less to the slow, and comes back when it is well again", async () => {
    const own = new VirtualClock();
    const balancer: Balancer<Made> = peakEwma({ decayMs: 1000 })({ clock: own, random: seededRandom(3) });
    const list = candidates(4);
    balancer.update(list);
    const share = async (slowMs: number): Promise<number> => {
      let slow = 0;
      for (let i = 0; i < 2000; i++) {
        const picked = balancer.pick(ctx)!;
        if (picked === list[0]) slow++;
        balancer.done!(picked, picked === list[0] ? slowMs : 10, undefined, own.now());
        await own.run(1);
      }
      return slow / 2000;
    };
    assert.ok((await share(100)) < 0.02);
    await own.run(10_000);
    assert.ok((await share(10)) > 0.1);
  });

  test("one that fails at once does not look fast; one that was not asked yet is asked once at a time", () => {
    const balancer = make(peakEwma());
    const list = candidates(2);
    balancer.update(list);
    let failed = 0;
    for (let i = 0; i < 1000; i++) {
      const picked = balancer.pick(ctx)!;
      if (picked === list[0]) failed++;
      balancer.done!(
        picked,
        picked === list[0] ? 0.1 : 20,
        picked === list[0] ? new ServiceError("internal", "broken") : undefined,
        clock.now(),
      );
    }
    assert.ok(failed <= 3, `${failed} went to the one that fails`);
  });
});

for (const [name, byKey] of [
  ["ringHash", (maxLoad?: number) => ringHash({ key, ...(maxLoad !== undefined && { maxLoad }) })],
  ["maglev", (maxLoad?: number) => maglev({ key, tableSize: 16_381, ...(maxLoad !== undefined && { maxLoad }) })],
] as const) {
  describe(name, () => {
    const user = (i: number): Context => withValue(ctx, userKey, `user-${i}`);
    const places = (list: readonly Made[]): (Made | undefined)[] => {
      const balancer = make(byKey(Infinity));
      balancer.update(list);
      return Array.from({ length: 5000 }, (_, i) => balancer.pick(user(i)));
    };

    test("one key, one instance, for every client and in any order of the list", () => {
      const list = candidates(10);
      assert.deepEqual(places(list), places(list.toReversed()));
    });

    test("when one of ten goes, its keys move and hardly any other", () => {
      const list = candidates(10);
      const before = places(list);
      const after = places(list.slice(0, 9));
      let moved = 0;
      before.forEach((candidate, i) => {
        if (candidate !== list[9] && candidate !== after[i]) moved++;
      });
      assert.ok(moved <= 5000 * (name === "ringHash" ? 0 : 0.1), `${moved} keys moved without need`);
    });

    test("keys are spread by weight", () => {
      const list = candidates(10, (i) => (i === 0 ? 3 : 1));
      const balancer = make(byKey(Infinity));
      balancer.update(list);
      const got = counts(balancer, list, 24_000, user);
      assert.ok(got[0]! > 4200 && got[0]! < 7800, `${got[0]} of 6000`);
      for (const count of got.slice(1)) assert.ok(count > 1000 && count < 3200, `${count} of 2000`);
    });

    test("nobody has more than the bound, though all ask for one key", () => {
      for (const maxLoad of [1, 1.25, 2]) {
        const list = candidates(10);
        const balancer = make(byKey(maxLoad));
        balancer.update(list);
        for (let i = 1; i <= 200; i++) {
          balancer.pick(user(1))!.inFlight++;
          for (const { inFlight } of list) assert.ok(inFlight <= Math.ceil((maxLoad * i) / 10), `${inFlight} of ${i}`);
        }
      }
    });
  });
}

test("a key goes to the first point of the ring at its hash or after, however many there are of either", () => {
  const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      ids,
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.string(), { minLength: 50, maxLength: 50 }),
      (ids, points, keys) => {
        const list = ids.map((id) => ({ instance: { id, address: "http://h" }, inFlight: 0 }));
        const balancer = make(ringHash({ key, points, maxLoad: Infinity }));
        balancer.update(list);
        const ring = ids.flatMap((id) => Array.from({ length: points }, (_, i) => ({ id, hash: hash32(id, i) })));
        ring.sort((a, b) => a.hash - b.hash || (a.id < b.id ? -1 : 1));
        for (const asked of keys) {
          const expected = ring.find(({ hash }) => hash >= hash32(asked)) ?? ring[0]!;
          assert.equal(balancer.pick(withValue(ctx, userKey, asked))!.instance.id, expected.id);
        }
      },
    ),
  );
});

test("calls that were picked for and never made do not widen the bound for ever", () => {
  const list = candidates(10);
  const balancer = make(ringHash({ key }));
  balancer.update(list);
  for (let i = 0; i < 10_000; i++) balancer.pick(ctx);
  for (let i = 0; i < 300; i++) balancer.pick(withValue(ctx, userKey, "one"))!.inFlight++;
  const most = Math.max(...list.map(({ inFlight }) => inFlight));
  // 1.25 times the share of 300 calls, and of the 256 picks between two counts at most.
  assert.ok(most <= Math.ceil((1.25 * (300 + 256)) / 10), `${most} calls to one of ten`);
});

test("keys go to most instances of a ring of 10,000", () => {
  const list = candidates(10_000);
  const balancer = make(ringHash({ key }));
  balancer.update(list);
  const got = new Set(Array.from({ length: 20_000 }, (_, i) => balancer.pick(withValue(ctx, userKey, `k${i}`))));
  assert.ok(got.size > 8000, `${got.size} of 10000 instances have keys`);
});

test("hash32 is MurmurHash3, and spreads what is alike", () => {
  assert.equal(hash32(""), 0);
  assert.equal(hash32("", 1), 0x514e28b7);
  const buckets = Array.from({ length: 64 }, () => 0);
  for (let i = 0; i < 64_000; i++) buckets[hash32(`10.0.0.${i}:8080`) % 64]!++;
  for (const count of buckets) assert.ok(count > 850 && count < 1150, `${count} of 1000`);
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => peakEwma({ decayMs: 0 }), /peakEwma: decayMs/);
  assert.throws(() => ringHash({ key, maxLoad: 0.5 }), /ringHash: maxLoad/);
  assert.throws(() => ringHash({ key, points: 0 }), /ringHash: points/);
  assert.throws(() => maglev({ key, tableSize: 65_536 }), /maglev: tableSize must be a prime/);
});
