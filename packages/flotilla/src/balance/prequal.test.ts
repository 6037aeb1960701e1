import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { randomInt, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";
import { balancerContract } from "../testing/balancer-contract.ts";
import type { Balancer, BalancerDeps, Candidate } from "./balancer.ts";
import { Heat } from "./heat.ts";
import { type PrequalOptions, prequal } from "./prequal.ts";

interface Made extends Candidate {
  inFlight: number;
}

const candidates = (n: number, weight?: (i: number) => number): Made[] =>
  Array.from({ length: n }, (_, i) => {
    const instance = { id: `instance-${i}`, address: `http://h${i}` };
    return { instance: weight === undefined ? instance : { ...instance, weight: weight(i) }, inFlight: 0 };
  });

const ctx = background(new VirtualClock());

function make(options: PrequalOptions = {}, probe?: BalancerDeps<Made>["probe"], clock = new VirtualClock()) {
  const deps = { clock, random: seededRandom(3), ...(probe !== undefined && { probe }) };
  return { balancer: prequal(options)<Made>(deps) as Required<Balancer<Made>>, clock };
}

describe("prequal keeps the balancer contract", () => {
  for (const { name, run } of balancerContract(prequal())) test(name, run);
});

describe("of the reports", () => {
  test("the hot are avoided, and of the cold the fastest is taken", () => {
    const { balancer, clock } = make();
    const list = candidates(16);
    balancer.update(list);
    // The first has much to do; of the others the last is the fastest.
    const picked = new Set<Made>();
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 8; i++) {
        balancer.report(
          list[i]!,
          { requestsInFlight: i === 0 ? 50 : 2, latencyMs: i === 0 ? 1 : 100 - i },
          clock.now(),
        );
      }
      const best = balancer.pick(ctx)!;
      if (round > 15) picked.add(best);
    }
    assert.deepEqual([...picked], [list[7]]);
  });

  test("of none but hot ones the one with the least in flight is taken", () => {
    const { balancer, clock } = make({ hotQuantile: 0 });
    const list = candidates(8);
    balancer.update(list);
    for (let i = 0; i < 4; i++) balancer.report(list[i]!, { requestsInFlight: 20 - i, latencyMs: 1 + i }, clock.now());
    balancer.report(list[4]!, { requestsInFlight: 10, latencyMs: 99 }, clock.now());
    // The limit is the least reported, which one has: it is cold, whatever it takes.
    assert.equal(balancer.pick(ctx), list[4]);
    assert.equal(balancer.pick(ctx, new Set([list[4]!])), list[3]);
  });

  test("each call sent counts, in flight and in latency, until the next report", () => {
    const { balancer, clock } = make();
    const list = candidates(8);
    balancer.update(list);
    balancer.report(list[0]!, { requestsInFlight: 1, latencyMs: 10 }, clock.now());
    balancer.report(list[1]!, { requestsInFlight: 1, latencyMs: 14 }, clock.now());
    balancer.report(list[2]!, { requestsInFlight: 9, latencyMs: 90 }, clock.now());
    assert.deepEqual(
      Array.from({ length: 3 }, () => list.indexOf(balancer.pick(ctx)!)),
      // 10, then 15 against 14, then 15 against 21.
      [0, 1, 0],
    );
  });

  test("calls in flight are told for a weight", () => {
    const { balancer, clock } = make({ hotQuantile: 0 });
    const list = candidates(8, (i) => (i === 0 ? 4 : 1));
    balancer.update(list);
    balancer.report(list[0]!, { requestsInFlight: 80, latencyMs: 1 }, clock.now());
    balancer.report(list[1]!, { requestsInFlight: 40, latencyMs: 1 }, clock.now());
    balancer.report(list[2]!, { requestsInFlight: 50, latencyMs: 1 }, clock.now());
    assert.equal(balancer.pick(ctx), list[0]);
  });

  test("one of an instance that does not know yet what calls take counts for what they mostly take", () => {
    const { balancer, clock } = make();
    const list = candidates(16);
    balancer.update(list);
    for (let i = 0; i < 500; i++)
      balancer.report(list[i % 3]!, { requestsInFlight: 3, latencyMs: [5, 20, 80][i % 3]! }, clock.now());
    balancer.report(list[5]!, { requestsInFlight: 0, latencyMs: 0 }, clock.now());
    assert.equal(balancer.pick(ctx), list[0]);
  });

  test("the old, the used up, and those of instances that have gone are forgotten: then it is the less loaded of two", async () => {
    const { balancer, clock } = make({ maxAgeMs: 1000 });
    const list = candidates(10);
    for (const candidate of list.slice(0, 8)) candidate.inFlight = 5;
    balancer.update(list);
    const report = (): void => {
      for (const i of [0, 1]) balancer.report(list[i]!, { requestsInFlight: 1, latencyMs: 5 }, clock.now());
    };
    const known = (): boolean => list.indexOf(balancer.pick(ctx)!) < 2;
    const often = (): number => Array.from({ length: 100 }, known).filter(Boolean).length;
    report();
    for (let i = 0; i < 2; i++) assert.ok(known());
    assert.ok(often() < 40, "used up");
    report();
    await clock.run(1001);
    assert.ok(often() < 40, "old");
    report();
    balancer.update(list.slice(1));
    assert.notEqual(balancer.pick(ctx), list[0]);
    balancer.report(list[0]!, { requestsInFlight: 0, latencyMs: 0 }, clock.now());
    for (let i = 0; i < 50; i++) assert.notEqual(balancer.pick(ctx), list[0]);
  });

  test("any order of reports, picks, updates and time keeps to what is listed and not tried", async () => {
    const step = fc.record({
      kind: fc.constantFrom("report", "pick", "update", "wait"),
      i: fc.nat(19),
      n: fc.nat(60),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 200 }), fc.integer({ min: 2, max: 20 }), async (steps, poolSize) => {
        const { balancer, clock } = make({ poolSize });
        const pool = candidates(20);
        let list = pool.slice(0, 5);
        balancer.update(list);
        for (const { kind, i, n } of steps) {
          if (kind === "report") balancer.report(pool[i]!, { requestsInFlight: n, latencyMs: n / 2 }, clock.now());
          else if (kind === "wait") await clock.run(n * 10);
          else if (kind === "update") balancer.update((list = pool.slice(i, i + 1 + (n % 10))));
          else {
            const tried = new Set(list.filter((_, at) => (n >> (at % 6)) & 1));
            const picked = balancer.pick(ctx, tried);
            assert.ok(picked !== undefined && list.includes(picked));
            assert.ok(tried.size === list.length || !tried.has(picked));
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("probes", () => {
  test("go out three a call while reports are few, to different ones; hardly any while answers bring enough", async () => {
    let inFlight = 0;
    let most = 0;
    const asked: Made[] = [];
    const ends: (() => void)[] = [];
    const { balancer, clock } = make({}, (candidate) => {
      asked.push(candidate);
      most = Math.max(most, ++inFlight);
      return new Promise((resolve) =>
        ends.push(() => {
          inFlight--;
          resolve(true);
        }),
      );
    });
    const list = candidates(100);
    balancer.update(list);
    balancer.pick(ctx);
    assert.equal(asked.length, 3);
    assert.equal(new Set(asked).size, 3);
    for (let i = 0; i < 20; i++) balancer.pick(ctx);
    assert.equal(most, 16, "no more than so many at a time, though none ends");
    assert.equal(new Set(asked).size, asked.length, "nobody twice at a time");
    for (const end of ends.splice(0)) end();
    await clock.run(0);

    asked.length = 0;
    for (let i = 0; i < 300; i++) {
      for (let k = 0; k < 3; k++)
        balancer.report(list[(3 * i + k) % 100]!, { requestsInFlight: i % 5, latencyMs: 5 }, clock.now());
      balancer.pick(ctx);
      for (const end of ends.splice(0)) end();
      await clock.run(0);
    }
    assert.ok(asked.length >= 80 && asked.length <= 120, `${asked.length} probes for 300 calls with reports enough`);
  });

  test("a slow instance that is probed gets next to nothing, although nobody calls it to find out", async () => {
    const list = candidates(16);
    const slow = new Set(list.slice(0, 2));
    const random = seededRandom(5);
    const report = (candidate: Made): void => {
      balancer.report(
        candidate,
        { requestsInFlight: randomInt(random, 10), latencyMs: slow.has(candidate) ? 160 : 10 },
        clock.now(),
      );
    };
    const { balancer, clock } = make({}, async (candidate) => {
      report(candidate);
      return true;
    });
    balancer.update(list);
    let wrong = 0;
    for (let i = 0; i < 5000; i++) {
      const picked = balancer.pick(ctx)!;
      if (slow.has(picked) && i > 100) wrong++;
      await clock.run(5);
      report(picked);
    }
    assert.ok(wrong < 25, `${wrong} of 4900 calls went to the slow ones`);
  });

  test("where nobody can be probed, or probes fail, some calls go to any, so that all are heard of", async () => {
    const list = candidates(40);
    const refusing = [undefined, async () => false, () => Promise.reject(new Error("no"))] as const;
    for (const probe of refusing) {
      const { balancer, clock } = make({}, probe);
      balancer.update(list);
      const seen = new Set<Made>();
      for (let i = 0; i < 3000; i++) {
        const picked = balancer.pick(ctx)!;
        seen.add(picked);
        balancer.report(picked, { requestsInFlight: 1, latencyMs: 10 + list.indexOf(picked) }, clock.now());
        await clock.run(1);
      }
      assert.equal(seen.size, 40);
    }
  });
});

test("the limit of heat is the quantile of the last reports", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(2000), { minLength: 1, maxLength: 400 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (levels, q) => {
        const heat = new Heat(q);
        levels.forEach((level, i) => {
          heat.record(level);
          const last = levels.slice(Math.max(0, i - 127), i + 1).map((each) => Math.min(1023, each));
          last.sort((a, b) => a - b);
          assert.equal(heat.limit, last[Math.min(last.length - 1, Math.floor(q * last.length))]);
        });
      },
    ),
    { numRuns: 100 },
  );
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => prequal({ poolSize: 1 }), /prequal: poolSize/);
  assert.throws(() => prequal({ poolSize: 2.5 }), /prequal: poolSize/);
  assert.throws(() => prequal({ maxAgeMs: 0 }), /prequal: maxAgeMs/);
  assert.throws(() => prequal({ hotQuantile: 2 }), /prequal: hotQuantile/);
  assert.throws(() => prequal({ probes: 0 }), /prequal: probes/);
  assert.throws(() => prequal({ probes: 17 }), /prequal: probes/);
});
