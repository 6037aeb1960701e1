import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Candidate } from "./balancer.ts";
import { type Ejected, Ejection, type EjectionOptions } from "./ejection.ts";

const candidates = (n: number): Candidate[] =>
  Array.from({ length: n }, (_, i) => ({ instance: { id: `${i}`, address: `http://h${i}` }, inFlight: 0 }));

function bed(n: number, options: EjectionOptions = {}) {
  const clock = new VirtualClock();
  const all = candidates(n);
  const told: Ejected[] = [];
  const ejection = new Ejection<Candidate>({ ...options, onEject: (ejected) => told.push(ejected) }, clock, {
    next: () => 0,
  });
  ejection.update(all);
  const out = (): string[] => Array.from(ejection.out, ({ instance }) => instance.id);
  const calls = (i: number, ok: number, failed: number): void => {
    // Failures apart, so that they make no row.
    for (let k = 0; k < Math.max(ok, failed); k++) {
      if (k < failed) ejection.record(all[i]!, true);
      if (k < ok) ejection.record(all[i]!, false);
    }
  };
  return { clock, all, told, ejection, out, calls };
}

describe("what ejects", () => {
  test("so many failures in a row, at once", () => {
    const { all, ejection, out, told } = bed(3);
    for (let i = 0; i < 4; i++) assert.equal(ejection.record(all[1]!, true), false);
    ejection.record(all[1]!, false);
    for (let i = 0; i < 4; i++) ejection.record(all[1]!, true);
    assert.deepEqual(out(), []);
    assert.equal(ejection.record(all[1]!, true), true);
    assert.deepEqual(out(), ["1"]);
    assert.deepEqual(told, [
      { instance: all[1]!.instance, rule: "consecutive", reason: "5 calls in a row failed", forMs: 30_000 },
    ]);
  });

  test("not where the others fail as well: it is the service then", () => {
    const { all, ejection, out } = bed(2);
    for (let i = 0; i < 400; i++) ejection.record(all[i % 2]!, i % 14 < 12);
    assert.deepEqual(out(), []);
  });

  test("a share of successes far below the others'", async () => {
    const { clock, ejection, out, calls, told } = bed(10, { consecutive: Infinity });
    for (let i = 0; i < 10; i++) calls(i, i === 4 ? 60 : 97, i === 4 ? 40 : 3);
    assert.equal(ejection.look(), false);
    await clock.advance(10_000);
    assert.equal(ejection.look(), true);
    assert.deepEqual(out(), ["4"]);
    assert.equal(told[0]!.rule, "deviation");
    assert.equal(told[0]!.reason, "60.0 % of its calls succeed, of all 93.3 %");
  });

  test("a share of failures beyond all doubt, also when many fail", async () => {
    const { clock, ejection, out, calls } = bed(6, { consecutive: Infinity, maxShare: 0.5 });
    for (let i = 0; i < 6; i++) calls(i, i < 3 ? 5 : 95, i < 3 ? 95 : 5);
    await clock.advance(10_000);
    ejection.look();
    assert.deepEqual(out(), ["0", "1", "2"]);
  });

  test("nothing where too few calls, or too few instances, tell", async () => {
    for (const [n, calls] of [
      [10, 40],
      [4, 100],
    ] as const) {
      const { clock, ejection, out, calls: make } = bed(n, { consecutive: Infinity });
      for (let i = 0; i < n; i++) make(i, i === 0 ? 0 : calls, i === 0 ? calls : 0);
      await clock.advance(10_000);
      ejection.look();
      assert.deepEqual(out(), []);
    }
  });
});

describe("for how long", () => {
  test("longer each time, up to the maximum; shorter again for each interval it did well", async () => {
    const { clock, all, ejection, told, out } = bed(3, { ejectionMs: 1000, maxEjectionMs: 2500, intervalMs: 500 });
    const eject = (): void => {
      for (let i = 0; i < 5; i++) ejection.record(all[0]!, true);
    };
    for (const ms of [1000, 2000, 2500]) {
      eject();
      assert.equal(told.at(-1)!.forMs, ms);
      await clock.advance(ms - 1);
      ejection.look();
      assert.deepEqual(out(), ["0"]);
      await clock.advance(1);
      assert.equal(ejection.look(), true);
      assert.deepEqual(out(), []);
    }
    for (let i = 0; i < 10; i++) {
      await clock.advance(500);
      ejection.look();
    }
    eject();
    assert.equal(told.at(-1)!.forMs, 1000);
  });

  test("shorter again for each interval in which it was called and did well, as for one in which it had little to do", async () => {
    for (const called of [true, false]) {
      const { clock, all, ejection, told, calls } = bed(6, { ejectionMs: 1000, deviations: Infinity });
      const eject = (): void => {
        for (let i = 0; i < 5; i++) ejection.record(all[0]!, true);
      };
      for (const ms of [1000, 2000]) {
        eject();
        assert.equal(told.at(-1)!.forMs, ms);
        await clock.advance(ms);
        ejection.look();
      }
      const { length } = told;
      for (let i = 0; i < 3; i++) {
        if (called) for (let k = 0; k < 6; k++) calls(k, 100, 0);
        await clock.advance(10_000);
        ejection.look();
      }
      assert.equal(told.length, length);
      eject();
      assert.equal(told.at(-1)!.forMs, 1000, called ? "called" : "not called");
    }
  });

  test("one that has gone is forgotten, one that stays keeps its record", () => {
    const { all, ejection, out } = bed(3);
    for (let i = 0; i < 5; i++) ejection.record(all[0]!, true);
    for (let i = 0; i < 4; i++) ejection.record(all[1]!, true);
    ejection.update(all.slice(1));
    assert.deepEqual(out(), []);
    ejection.record(all[1]!, true);
    assert.deepEqual(out(), ["1"]);
    ejection.record(all[0]!, true);
  });
});

test("never more than the share allowed, but one always; never all; whatever happens", async () => {
  const step = fc.record({ i: fc.nat(19), failed: fc.boolean(), ms: fc.integer({ min: 0, max: 4000 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(step, { maxLength: 150 }),
      async (n, maxShare, steps) => {
        const clock = new VirtualClock();
        const all = candidates(n);
        const ejection = new Ejection<Candidate>({ maxShare, consecutive: 1, minCalls: 1 }, clock, seededRandom(n));
        ejection.update(all);
        for (const { i, failed, ms } of steps) {
          await clock.run(ms);
          const before = ejection.out.size;
          const changed = ejection.record(all[i % n]!, failed);
          if (ejection.out.size !== before) assert.ok(changed);
          assert.ok(ejection.out.size <= Math.max(1, Math.floor(n * maxShare)));
          assert.ok(ejection.out.size < n || n === 0);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("options that are not legal are refused, by name", () => {
  const make = (options: EjectionOptions) => () => new Ejection(options, new VirtualClock(), seededRandom(1));
  assert.throws(make({ intervalMs: 0 }), /ejection: intervalMs/);
  assert.throws(make({ consecutive: Number.NaN }), /ejection: consecutive/);
  assert.throws(make({ maxShare: 2 }), /ejection: maxShare/);
  assert.throws(make({ ejectionMs: 10, maxEjectionMs: 5 }), /ejection: maxEjectionMs/);
});
