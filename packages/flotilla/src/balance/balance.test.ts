import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Random, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";
import { balancerContract } from "../testing/balancer-contract.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { leastRequest } from "./least-request.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";

const factories: Record<string, () => BalancerFactory> = { roundRobin, random, leastRequest };

for (const [name, factory] of Object.entries(factories)) {
  describe(`${name} keeps the balancer contract`, () => {
    for (const { name: what, run } of balancerContract(factory(), { weighted: name !== "roundRobin" })) test(what, run);
  });
}

const clock = new VirtualClock();
const ctx = background(clock);

interface TestCandidate extends Candidate {
  inFlight: number;
}

function candidate(id: string, weight?: number): TestCandidate {
  const instance = { id, address: `http://127.0.0.1/${id}` };
  return { instance: weight === undefined ? instance : { ...instance, weight }, inFlight: 0 };
}

function candidates(n: number): TestCandidate[] {
  return Array.from({ length: n }, (_, i) => candidate(`${i}`));
}

function make(factory: BalancerFactory, seed = 1): Balancer<TestCandidate> {
  return factory({ clock, random: seededRandom(seed) });
}

function count(
  balancer: Balancer<TestCandidate>,
  picks: number,
  tried?: ReadonlySet<TestCandidate>,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < picks; i++) {
    const id = balancer.pick(ctx, tried)!.instance.id;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

describe("roundRobin", () => {
  test("is exactly fair over every full cycle, wherever it starts", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5 }), (seed, n, cycles) => {
        const balancer = make(roundRobin(), seed);
        balancer.update(candidates(n));
        assert.deepEqual(new Set(count(balancer, n * cycles).values()), new Set([cycles]));
      }),
    );
  });

  test("starts at random, so that many clients do not all begin with the same instance", () => {
    const list = candidates(10);
    const starts = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const balancer = make(roundRobin(), seed);
      balancer.update(list);
      starts.add(balancer.pick(ctx)!.instance.id);
    }
    assert.equal(starts.size, 10);
  });

  test("goes on with the one whose turn it was when the list changes around it", () => {
    const list = candidates(10);
    const balancer = make(roundRobin());
    balancer.update(list);
    const first = Number(balancer.pick(ctx)!.instance.id);
    const next = list[(first + 1) % 10]!;
    balancer.update([candidate("new"), ...list.filter((_, i) => i !== first), candidate("newer")]);
    assert.equal(balancer.pick(ctx), next);
  });

  test("goes on with its successor when the one whose turn it was is gone", () => {
    const list = candidates(10);
    const balancer = make(roundRobin());
    balancer.update(list);
    const first = Number(balancer.pick(ctx)!.instance.id);
    balancer.update(list.filter((_, i) => i !== (first + 1) % 10));
    assert.equal(balancer.pick(ctx), list[(first + 2) % 10]);
  });

  test("starts at random again when all are replaced at once", () => {
    const starts = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const balancer = make(roundRobin(), seed);
      balancer.update(candidates(100));
      balancer.update(candidates(5));
      starts.add(balancer.pick(ctx)!.instance.id);
    }
    assert.equal(starts.size, 5);
  });

  test("still gives each its turn under updates that change nothing", () => {
    const list = candidates(7);
    const balancer = make(roundRobin());
    const seen = new Set<TestCandidate>();
    for (let i = 0; i < 7; i++) {
      balancer.update(list);
      seen.add(balancer.pick(ctx)!);
    }
    assert.equal(seen.size, 7);
  });
});

describe("random", () => {
  test("picks in proportion to the weights, 1 where none is given", () => {
    const balancer = make(random());
    balancer.update([candidate("half", 0.5), candidate("default"), candidate("three", 3), candidate("five", 5.5)]);
    const counts = count(balancer, 100_000);
    const expected = { half: 5_000, default: 10_000, three: 30_000, five: 55_000 };
    // Four standard deviations of the binomial.
    for (const [id, mean] of Object.entries(expected)) {
      const bound = 4 * Math.sqrt(mean * (1 - mean / 100_000));
      assert.ok(Math.abs(counts.get(id)! - mean) < bound, `${id}: ${counts.get(id)} of ${mean} ± ${bound}`);
    }
  });

  test("keeps the proportions among those not tried, even where the tried bear nearly all the weight", () => {
    const heavy = candidate("heavy", 1e6);
    const balancer = make(random());
    balancer.update([candidate("one", 1), heavy, candidate("three", 3)]);
    const counts = count(balancer, 20_000, new Set([heavy]));
    assert.ok(Math.abs(counts.get("one")! - 5_000) < 300, `one: ${counts.get("one")} of 5000`);
    assert.equal(counts.get("one")! + counts.get("three")!, 20_000);
  });

  test("counts a weight that is no positive number as 1, and bears huge and tiny ones", () => {
    const balancer = make(random());
    balancer.update([candidate("zero", 0), candidate("minus", -3), candidate("nan", NaN), candidate("inf", Infinity)]);
    assert.equal(count(balancer, 1_000).size, 4);
    balancer.update([
      candidate("max", Number.MAX_VALUE),
      candidate("max2", Number.MAX_VALUE),
      candidate("min", Number.MIN_VALUE),
    ]);
    const counts = count(balancer, 10_000);
    assert.ok(Math.abs(counts.get("max")! - 5_000) < 300, `max: ${counts.get("max")} of 5000`);
    assert.equal(counts.get("min"), undefined);
  });

  test("follows any weights: expected shares hold for every list", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(weights, fc.integer(), (weights, seed) => {
        const balancer = make(random(), seed);
        balancer.update(weights.map((weight, i) => candidate(`${i}`, weight)));
        const total = weights.reduce((a, b) => a + b);
        const picks = 20_000;
        const counts = count(balancer, picks);
        for (const [i, weight] of weights.entries()) {
          const mean = (picks * weight) / total;
          // Six standard deviations: about one false alarm in 10^9.
          const bound = 6 * Math.sqrt(mean * (1 - weight / total)) + 1e-9;
          assert.ok(Math.abs((counts.get(`${i}`) ?? 0) - mean) <= bound, `${i}: ${counts.get(`${i}`)} of ${mean}`);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("leastRequest", () => {
  test("takes the less loaded of two, so the most loaded is never picked while others differ", () => {
    const list = candidates(5);
    list.forEach((each, i) => {
      each.inFlight = i;
    });
    const balancer = make(leastRequest());
    balancer.update(list);
    const counts = count(balancer, 50_000);
    assert.equal(counts.get("4"), undefined);
    // Of two distinct out of five: the minimum is i with a chance of (4 - i) / 10.
    for (let i = 0; i < 4; i++) {
      const mean = 50_000 * ((4 - i) / 10);
      assert.ok(Math.abs(counts.get(`${i}`)! - mean) < 500, `${i}: ${counts.get(`${i}`)} of ${mean}`);
    }
  });

  test("splits ties evenly", () => {
    const balancer = make(leastRequest());
    balancer.update(candidates(2));
    const counts = count(balancer, 10_000);
    assert.ok(Math.abs(counts.get("0")! - 5_000) < 200, `0: ${counts.get("0")} of 5000`);
  });

  test("chooses between two among those not tried", () => {
    const list = candidates(4);
    list[0]!.inFlight = 0;
    list[1]!.inFlight = 1;
    list[2]!.inFlight = 2;
    list[3]!.inFlight = 3;
    const balancer = make(leastRequest());
    balancer.update(list);
    const counts = count(balancer, 30_000, new Set([list[0]!]));
    // Pairs of {1, 2, 3}: the minimum is 1 twice out of three, 2 once, 3 never.
    assert.ok(Math.abs(counts.get("1")! - 20_000) < 500, `1: ${counts.get("1")} of 20000`);
    assert.equal(counts.get("3"), undefined);
  });

  test("keeps the most loaded instance near the mean, where one choice does not (Mitzenmacher 2001)", () => {
    const n = 1_000;
    const highest = (factory: BalancerFactory): number => {
      const list = candidates(n);
      const balancer = make(factory);
      balancer.update(list);
      for (let i = 0; i < n; i++) balancer.pick(ctx)!.inFlight++;
      return Math.max(...list.map((each) => each.inFlight));
    };
    // ln ln n / ln 2 + O(1) against ln n / ln ln n.
    assert.ok(highest(leastRequest()) <= 4);
    assert.ok(highest(random()) > 4);
  });
});

test("a pick among 10,000 takes no more chance than one among 10, tried or not", () => {
  for (const factory of Object.values(factories)) {
    const source = seededRandom(3);
    let draws = 0;
    const counted: Random = {
      next() {
        draws++;
        return source.next();
      },
    };
    const balancer = factory()<TestCandidate>({ clock, random: counted });
    const list = Array.from({ length: 10_000 }, (_, i) => candidate(`${i}`, 1 + (i % 5)));
    balancer.update(list);
    const tried = new Set(list.slice(0, 3));
    draws = 0;
    for (let i = 0; i < 1_000; i++) {
      balancer.pick(ctx);
      balancer.pick(ctx, tried);
    }
    assert.ok(draws < 5_000, `${draws} draws for 2000 picks`);
  }
});

test("a source of chance that is stuck does not hang a pick", () => {
  for (const value of [0, 1 - Number.EPSILON]) {
    const stuck: Random = { next: () => value };
    for (const factory of Object.values(factories)) {
      const balancer = factory()<TestCandidate>({ clock, random: stuck });
      const list = [...candidates(3), candidate("heavy", 9)];
      balancer.update(list);
      for (const tried of [[list[0]!], [list[3]!], list.slice(1), list]) {
        const picked = balancer.pick(ctx, new Set(tried));
        assert.ok(picked !== undefined && (tried.length === 4 || !tried.includes(picked)));
      }
    }
  }
});
