import assert from "node:assert/strict";
import type { Decision, RateLimiter } from "../resilience/rate-limit/limiter.ts";
import type { ContractTest } from "./balancer-contract.ts";

/** What {@link rateLimiterContract} asks of a limiter: so many units a window, so many at once. */
export interface RateLimiterNeeds {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

/** Where limiters are tested. */
export interface RateLimiterBed {
  /**
   * A limiter that remembers nothing. One whose burst is always its limit may have another than asked for.
   *
   * It is closed by the bed, after the test.
   */
  make(needs: RateLimiterNeeds): RateLimiter | Promise<RateLimiter>;
  /** Lets so many milliseconds of the limiter's time pass. */
  pass(ms: number): Promise<void>;
  /** Milliseconds on the limiter's clock, or one that goes as fast. */
  now(): number;
}

/**
 * What every rate limiter must do, whatever its algorithm and wherever it keeps its state. Real time is allowed for: where the bed's
 * time goes on by itself, the bounds are those of the time that passed.
 *
 * ```ts
 * for (const { name, run } of rateLimiterContract(bed)) test(name, run);
 * ```
 */
export function rateLimiterContract(bed: RateLimiterBed): ContractTest[] {
  const needs = { limit: 10, windowMs: 1000, burst: 5 };
  const unitMs = needs.windowMs / needs.limit;
  const make = async (): Promise<RateLimiter> => bed.make(needs);

  /** Takes until it is refused. */
  const drain = async (limiter: RateLimiter, key: string): Promise<{ taken: number; refused: Decision }> => {
    for (let taken = 0; taken < 100; taken++) {
      const decision = await limiter.take(key);
      if (!decision.allowed) return { taken, refused: decision };
    }
    throw new Error("100 requests passed at once");
  };
  /** Units that time alone may have given since. */
  const sinceThen = (then: number): number => Math.ceil((bed.now() - then) / unitMs);

  return [
    {
      name: "tells what it admits",
      async run() {
        const limiter = await make();
        assert.deepEqual([limiter.limit, limiter.windowMs], [10, 1000]);
        assert.ok(limiter.burst >= 1);
      },
    },
    {
      name: "a key that rested has its burst, and no more",
      async run() {
        const limiter = await make();
        const then = bed.now();
        const { taken, refused } = await drain(limiter, "a");
        assert.ok(taken >= limiter.burst, `${taken} of ${limiter.burst}`);
        assert.ok(taken <= limiter.burst + sinceThen(then), `${taken} of ${limiter.burst}`);
        assert.equal(refused.remaining, 0);
        assert.equal(refused.limit, 10);
        assert.ok(refused.retryAfterMs > 0 && refused.resetMs >= refused.retryAfterMs);
      },
    },
    {
      name: "what is left goes down with each unit",
      async run() {
        const limiter = await make();
        const then = bed.now();
        const first = await limiter.take("a");
        assert.equal(first.remaining, limiter.burst - 1);
        assert.equal(first.retryAfterMs, 0);
        assert.ok(first.resetMs > 0);
        const second = await limiter.take("a");
        const low = limiter.burst - 2;
        assert.ok(second.remaining >= low && second.remaining <= low + sinceThen(then), `${second.remaining}`);
      },
    },
    {
      name: "a refused request passes when it comes again as late as it was told",
      async run() {
        const limiter = await make();
        const { refused } = await drain(limiter, "a");
        await bed.pass(refused.retryAfterMs);
        assert.equal((await limiter.take("a")).allowed, true);
      },
    },
    {
      name: "a refusal takes nothing",
      async run() {
        const limiter = await make();
        const { refused } = await drain(limiter, "a");
        for (let i = 0; i < 10; i++) assert.ok((await limiter.take("a", limiter.burst)).retryAfterMs > 0);
        await bed.pass(refused.retryAfterMs);
        assert.equal((await limiter.take("a")).allowed, true);
      },
    },
    {
      name: "each key has units of its own",
      async run() {
        const limiter = await make();
        await drain(limiter, "a");
        for (const key of ["b", "", "a ", "ä🚢", "{a}", "a\nb", "__proto__"]) {
          const { allowed, remaining } = await limiter.take(key);
          assert.deepEqual([allowed, remaining], [true, limiter.burst - 1], JSON.stringify(key));
        }
      },
    },
    {
      name: "a request takes what it costs, all or nothing",
      async run() {
        const limiter = await make();
        const then = bed.now();
        const first = await limiter.take("a", limiter.burst - 1);
        assert.deepEqual([first.allowed, first.remaining], [true, 1]);
        const second = await limiter.take("a", limiter.burst);
        assert.equal(second.allowed, false);
        assert.ok(second.remaining >= 1 && second.remaining <= 1 + sinceThen(then));
        assert.equal((await limiter.take("a", 1)).allowed, true);
      },
    },
    {
      name: "fractions of a unit are counted, and half a unit is not a whole one",
      async run() {
        const limiter = await make();
        const then = bed.now();
        for (let i = 0; i < 2 * limiter.burst - 1; i++) assert.equal((await limiter.take("a", 0.5)).allowed, true);
        if (sinceThen(then) <= 1 && bed.now() - then < unitMs / 4) {
          const { allowed, remaining } = await limiter.take("a", 1);
          assert.deepEqual([allowed, remaining], [false, 0]);
        }
        assert.equal((await limiter.take("a", 0.5)).allowed, true);
      },
    },
    {
      name: "a cost of nothing only looks",
      async run() {
        const limiter = await make();
        const fresh = await limiter.take("a", 0);
        assert.deepEqual(fresh, { allowed: true, limit: 10, remaining: limiter.burst, retryAfterMs: 0, resetMs: 0 });
        const { taken } = await drain(limiter, "a");
        assert.ok(taken >= limiter.burst);
        assert.equal((await limiter.take("a", 0)).allowed, true);
        assert.equal((await limiter.take("a")).allowed, false);
      },
    },
    {
      name: "a cost that is none, or could never pass, is an error",
      async run() {
        const limiter = await make();
        for (const cost of [limiter.burst + 1, -1, Number.NaN, Infinity]) {
          await assert.rejects(async () => limiter.take("a", cost), RangeError, String(cost));
        }
        assert.equal((await limiter.take("a")).remaining, limiter.burst - 1);
      },
    },
    {
      name: "after a long rest it is the burst again, not more",
      async run() {
        const limiter = await make();
        const { refused } = await drain(limiter, "a");
        await bed.pass(refused.resetMs + needs.windowMs);
        const then = bed.now();
        const { taken } = await drain(limiter, "a");
        assert.ok(taken >= limiter.burst && taken <= limiter.burst + sinceThen(then), `${taken}`);
      },
    },
    {
      name: "those who ask at the same time share",
      async run() {
        const limiter = await make();
        const then = bed.now();
        const decisions = await Promise.all(Array.from({ length: 50 }, async () => limiter.take("a")));
        const taken = decisions.filter(({ allowed }) => allowed).length;
        assert.ok(taken >= limiter.burst && taken <= limiter.burst + sinceThen(then), `${taken}`);
      },
    },
    {
      name: "over time it admits its limit",
      async run() {
        const limiter = await make();
        const then = bed.now();
        let { taken } = await drain(limiter, "a");
        while (bed.now() - then < 3 * needs.windowMs) {
          const { allowed, retryAfterMs } = await limiter.take("a");
          if (allowed) taken++;
          else await bed.pass(retryAfterMs);
        }
        const given = ((bed.now() - then) * needs.limit) / needs.windowMs;
        assert.ok(taken >= given - 2 && taken <= given + limiter.burst, `${taken} of ${given} and ${limiter.burst}`);
      },
    },
  ];
}
