import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Clock } from "../../clock/clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { rateLimiterContract } from "../../testing/rate-limiter-contract.ts";
import { gcra } from "./gcra.ts";
import type { LocalRateLimiter } from "./limiter.ts";
import { type RateLimiterOptions, rateSettings } from "./options.ts";
import { slidingWindow } from "./sliding-window.ts";
import { tokenBucket } from "./token-bucket.ts";

const factories = {
  gcra,
  tokenBucket,
  slidingWindow: ({ burst: _, ...options }: RateLimiterOptions) => slidingWindow(options),
};

for (const [name, make] of Object.entries(factories)) {
  describe(name, () => {
    const clock = new VirtualClock();
    const suite = rateLimiterContract({
      make: (needs) => make({ ...needs, clock }),
      pass: (ms) => clock.advance(ms),
      now: () => clock.now(),
    });
    for (const { name: title, run } of suite) test(title, run);
  });
}

/** A clock that a property sets, starting wherever it likes. */
function handClock(startMs: number): Clock & { nowMs: number } {
  return {
    nowMs: startMs,
    now() {
      return this.nowMs;
    },
    epoch() {
      return this.nowMs;
    },
    schedule() {
      throw new Error("no local limiter has timers");
    },
  };
}

interface Taken {
  readonly atMs: number;
  readonly units: number;
}

/** Arrivals: gaps of any length, most of them short, and costs as shares of the burst. */
const arrivals = fc.array(
  fc.record({
    gap: fc.oneof(
      fc.constant(0),
      fc.double({ min: 0, max: 3, noNaN: true }),
      fc.double({ min: 0, max: 300, noNaN: true }),
    ),
    share: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
    obedient: fc.boolean(),
  }),
  { minLength: 1, maxLength: 150 },
);
const rates = fc.record({
  limit: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 1, max: 50, noNaN: true })),
  windowMs: fc.oneof(fc.constantFrom(1000, 60_000, 1, 7), fc.double({ min: 1, max: 5000, noNaN: true })),
  burst: fc.integer({ min: 1, max: 40 }),
  startMs: fc.constantFrom<number[]>(0, 12_345.678, 1e9, 1_767_225_600_000),
});
type Rates = typeof rates extends fc.Arbitrary<infer T> ? T : never;
type Arrivals = typeof arrivals extends fc.Arbitrary<infer T> ? T : never;

/** What a limiter lets through. Gaps count in units of what pays for one; the obedient come again when they were told to. */
function run(make: (options: RateLimiterOptions) => LocalRateLimiter, rate: Rates, list: Arrivals): Taken[] {
  const clock = handClock(rate.startMs);
  const { startMs: _, ...options } = rate;
  const limiter = make({ ...options, clock });
  const taken: Taken[] = [];
  for (const { gap, share, obedient } of list) {
    clock.nowMs += (gap * rate.windowMs) / rate.limit;
    const cost = share === 0 ? 1 : share * limiter.burst;
    let decision = limiter.take("k", cost);
    if (!decision.allowed && obedient) {
      // Adding to a clock that counts from 1970 rounds to a part of a microsecond.
      clock.nowMs += decision.retryAfterMs + clock.nowMs * Number.EPSILON;
      decision = limiter.take("k", cost);
      assert.ok(decision.allowed, `came again when told to, and lacked ${decision.retryAfterMs} ms`);
    }
    assert.ok(decision.remaining >= 0 && decision.remaining <= limiter.burst + 1e-5);
    if (decision.allowed) taken.push({ atMs: clock.nowMs, units: cost });
  }
  return taken;
}

describe("bounds", () => {
  for (const make of [gcra, tokenBucket]) {
    test(`${make.name}: no interval has more than the burst and what its time pays for`, () => {
      fc.assert(
        fc.property(rates, arrivals, (rate, list) => {
          const taken = run(make, rate, list);
          const perMs = rate.limit / rate.windowMs;
          const roundingMs = 4 * rate.startMs * Number.EPSILON;
          for (let first = 0; first < taken.length; first++) {
            let units = 0;
            for (let last = first; last < taken.length; last++) {
              units += taken[last]!.units;
              const bound = rate.burst + (taken[last]!.atMs - taken[first]!.atMs + roundingMs) * perMs;
              assert.ok(units <= bound + 1e-5, `${units} units where ${bound} are allowed`);
            }
          }
        }),
        { numRuns: 300 },
      );
    });
  }

  test("gcra and tokenBucket decide alike", () => {
    fc.assert(
      fc.property(rates, arrivals, (rate, list) => {
        // Where a request misses by a rounding error alone they may differ.
        const exact = { ...rate, startMs: 0, limit: Math.ceil(rate.limit), windowMs: Math.ceil(rate.limit) * 8 };
        const whole = list.map(({ gap, share }) => ({
          gap: Math.round(gap * 8) / 8,
          share: Math.round(share * 8) / 8,
          obedient: false,
        }));
        assert.deepEqual(run(gcra, exact, whole), run(tokenBucket, exact, whole));
      }),
      { numRuns: 300 },
    );
  });

  test("slidingWindow: a span that ends a share s into a window has no more than (1 + s) times the limit", () => {
    fc.assert(
      fc.property(rates, arrivals, (given, list) => {
        const rate = { ...given, startMs: 0, burst: given.limit };
        const taken = run(factories.slidingWindow, rate, list);
        for (const [last, { atMs }] of taken.entries()) {
          let units = 0;
          for (let i = last; i >= 0 && taken[i]!.atMs > atMs - rate.windowMs; i--) units += taken[i]!.units;
          const share = (atMs % rate.windowMs) / rate.windowMs;
          assert.ok(
            units <= (1 + share) * rate.limit + 1e-4,
            `${units} units, ${share} into a window, limit ${rate.limit}`,
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  test("slidingWindow: even traffic over the limit is cut to the limit, in every span of a window", () => {
    const clock = handClock(0);
    const limiter = slidingWindow({ limit: 100, windowMs: 1000, clock });
    const taken: number[] = [];
    for (; clock.nowMs < 10_000; clock.nowMs += 2.5) if (limiter.take("k").allowed) taken.push(clock.nowMs);
    // Of each window a fraction of a unit is lost at most.
    assert.ok(taken.length >= 990 && taken.length <= 1000, `${taken.length}`);
    const most = Math.max(...taken.map((end) => taken.filter((at) => at > end - 1000 && at <= end).length));
    assert.ok(most <= 101, `${most}`);
  });

  test("slidingWindow never doubles at a boundary as fixed windows do, but crowding at the end of one gains what is documented", () => {
    const clock = handClock(0);
    const limiter = slidingWindow({ limit: 100, windowMs: 1000, clock });
    const all = (): number =>
      Array.from({ length: 300 }, () => limiter.take("k")).filter(({ allowed }) => allowed).length;
    clock.nowMs = 999;
    assert.equal(all(), 100);
    clock.nowMs = 1001;
    assert.equal(all(), 0);
    clock.nowMs = 1500;
    assert.equal(all(), 50);
  });
});

describe("exactness", () => {
  test("a day at full speed gains and loses nothing", () => {
    for (const make of [gcra, tokenBucket]) {
      // A seventh of a second ends in neither base. The bucket never is full, so no time is lost.
      const clock = handClock(1_767_225_600_000);
      const limiter = make({ perSecond: 7, burst: 2, clock });
      let taken = 0;
      for (let ms = 0; ms <= 86_400_000; ms += 100) {
        clock.nowMs = 1_767_225_600_000 + ms;
        if (limiter.take("k").allowed) taken++;
      }
      assert.ok(Math.abs(taken - 7 * 86_400) <= 2, `${make.name} ${taken}`);
    }
  });

  test("a unit that is half restored does not pass", () => {
    for (const make of [gcra, tokenBucket]) {
      const clock = handClock(1e9);
      const limiter = make({ limit: 3, windowMs: 1000, burst: 1, clock });
      assert.equal(limiter.take("k").allowed, true);
      clock.nowMs += 333;
      const { allowed, retryAfterMs } = limiter.take("k");
      assert.equal(allowed, false);
      assert.ok(Math.abs(retryAfterMs - 1 / 3) < 1e-6, String(retryAfterMs));
    }
  });
});

describe("bounded memory", () => {
  for (const [name, make] of Object.entries(factories)) {
    test(`${name}: 100000 keys take the room of maxKeys, and those in debt are remembered`, () => {
      const clock = handClock(0);
      const limiter = make({ limit: 10, windowMs: 1000, burst: 10, maxKeys: 1000, clock });
      for (let i = 0; i < 10; i++) assert.ok(limiter.take("greedy").allowed);
      assert.equal(limiter.take("greedy").allowed, false);
      for (let i = 0; i < 100_000; i++) limiter.take(`key ${i}`);
      assert.equal(limiter.size, 1000);
      assert.ok(limiter.forgotten > 0);
      assert.equal(limiter.take("greedy").allowed, false, "the flood must not free who was over the limit");
    });

    test(`${name}: keys that have rested go first, and nothing is lost by it`, () => {
      const clock = handClock(0);
      const limiter = make({ limit: 10, windowMs: 1000, burst: 10, maxKeys: 4, clock });
      for (const key of ["a", "b", "c"]) limiter.take(key);
      clock.nowMs = 5000;
      limiter.take("busy", 5);
      for (const key of ["d", "e", "f"]) limiter.take(key);
      assert.equal(limiter.forgotten, 0);
      assert.equal(limiter.size, 4);
      assert.equal(limiter.take("busy", 0).remaining, 5);
      limiter.take("g");
      assert.equal(limiter.forgotten, 1);
      assert.equal(limiter.take("busy", 0).remaining, 5);
    });
  }

  test("one key of room is enough to work", () => {
    const limiter = gcra({ perSecond: 1, maxKeys: 1, clock: handClock(0) });
    assert.deepEqual(
      [limiter.take("a").allowed, limiter.take("a").allowed, limiter.take("b").allowed],
      [true, false, true],
    );
    assert.equal(limiter.size, 1);
  });
});

describe("options", () => {
  test("what is not given has a default", () => {
    const { clock: _, ...settings } = rateSettings("x", { perSecond: 50 });
    assert.deepEqual(settings, { limit: 50, windowMs: 1000, burst: 50, maxKeys: 10_000 });
    assert.equal(rateSettings("x", { limit: 0.5 }).burst, 1);
  });

  test("what is not legal is named", () => {
    const bad: [RateLimiterOptions, RegExp][] = [
      [{}, /gcra: limit or perSecond must be given/],
      [{ perSecond: 1, limit: 1 }, /perSecond stands for limit and windowMs/],
      [{ perSecond: 0 }, /perSecond must be above 0 and finite, got 0/],
      [{ limit: Infinity }, /limit must be above 0 and finite, got Infinity/],
      [{ limit: Number.NaN }, /limit must be above 0/],
      [{ limit: 1, windowMs: 0 }, /windowMs must be above 0 and finite, got 0/],
      [{ limit: 1, burst: 0.5 }, /burst must be 1 or more, got 0.5/],
      [{ limit: 1, burst: Infinity }, /burst must be/],
      [{ limit: 1, maxKeys: 0 }, /maxKeys must be a whole number from 1, got 0/],
      [{ limit: 1, maxKeys: 1.5 }, /maxKeys must be/],
    ];
    for (const [options, message] of bad) assert.throws(() => gcra(options), message);
    assert.throws(() => tokenBucket({ perSecond: -1 }), /tokenBucket: perSecond/);
    assert.throws(() => slidingWindow({ limit: 0.5 }), /slidingWindow: limit must be 1 or more, got 0.5/);
    assert.throws(
      () => slidingWindow({ limit: 5, burst: 2 } as RateLimiterOptions),
      /slidingWindow: burst is the limit itself/,
    );
  });
});
