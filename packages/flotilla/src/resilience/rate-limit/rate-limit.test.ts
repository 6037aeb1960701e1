import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { background, withCancel, withTimeout, withValue } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { gcra } from "./gcra.ts";
import { Keyed } from "./keyed.ts";
import { pace } from "./pace.ts";
import { rateLimit } from "./rate-limit.ts";
import type { Decision, RateLimiter } from "./rate-limiter.ts";
import { slidingWindow } from "./sliding-window.ts";
import { tokenBucket } from "./token-bucket.ts";

const io = { input: z.object({}), output: z.object({}) };
const method = contract("a.B", { one: unary(io) }).methods[0]!;
const ok: Endpoint = async () => "ok";
const local = (limiter: RateLimiter) => (key: string, cost?: number) => limiter.take(key, cost) as Decision;

const makers = {
  gcra: (clock: VirtualClock, limit = 10, burst = 5) => gcra({ limit, burst, clock, maxKeys: 3 }),
  tokenBucket: (clock: VirtualClock, limit = 10, burst = 5) => tokenBucket({ limit, burst, clock, maxKeys: 3 }),
};

for (const [name, make] of Object.entries(makers)) {
  describe(name, () => {
    test("a burst at once, then an even rate, told to the millisecond", async () => {
      const clock = new VirtualClock();
      const take = local(make(clock));
      for (let left = 4; left >= 0; left--)
        assert.deepEqual([take("a").allowed, take("b", 0.001).allowed, left], [true, true, left]);
      const refused = take("a");
      assert.equal(refused.allowed, false);
      assert.equal(refused.remaining, 0);
      assert.ok(Math.abs(refused.retryAfterMs - 100) < 1e-6);
      assert.ok(Math.abs(refused.resetMs - 500) < 1e-6);
      await clock.advance(99.9);
      assert.equal(take("a").allowed, false);
      await clock.advance(0.1);
      assert.equal(take("a").allowed, true);
      assert.equal(take("a").allowed, false);
    });

    test("never more than burst and rate in any span, and never less when asked without end", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 50 }),
          fc.integer({ min: 1, max: 20 }),
          fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { minLength: 1, maxLength: 80 }),
          async (limit, burst, gaps) => {
            const clock = new VirtualClock();
            const take = local(make(clock, limit, burst));
            const went: number[] = [];
            for (const gap of gaps) {
              await clock.run(gap);
              while (take("k").allowed) went.push(clock.now());
            }
            for (let i = 0; i < went.length; i++) {
              for (let j = i; j < went.length; j++) {
                const most = burst + ((went[j]! - went[i]!) / 1000) * limit;
                assert.ok(j - i + 1 <= most + 1e-6, `${j - i + 1} calls, of at most ${most}`);
              }
            }
            // As a bucket would, to a rounding.
            let tokens = burst;
            let expected = 0;
            for (const [i, gap] of gaps.entries()) {
              if (i > 0) tokens = Math.min(burst, tokens + (gap * limit) / 1000);
              expected += Math.floor(tokens + 1e-6);
              tokens -= Math.floor(tokens + 1e-6);
            }
            assert.ok(Math.abs(went.length - expected) <= 1, `${went.length} went, a bucket lets ${expected}`);
          },
        ),
        { numRuns: 50 },
      );
    });

    test("a cost counts as so many calls, one above the burst can never be met", async () => {
      const clock = new VirtualClock();
      const limiter = make(clock);
      const take = local(limiter);
      assert.equal(take("a", 3).remaining, 2);
      const refused = take("a", 4);
      assert.equal(refused.allowed, false);
      assert.ok(Math.abs(refused.retryAfterMs - 200) < 1e-6);
      assert.throws(() => limiter.take("a", 6), /a cost must be above 0 and at most 5, the whole quota, got 6/);
      assert.throws(() => limiter.take("a", 0), /a cost must be above 0/);
    });

    test("keys beyond the bound are forgotten, those used longest ago first", () => {
      const take = local(make(new VirtualClock()));
      for (let i = 0; i < 5; i++) take("a");
      take("b");
      take("c");
      assert.equal(take("a").allowed, false);
      take("d");
      assert.equal(take("a").allowed, false, "a was used after b");
      for (const key of ["e", "f", "g"]) take(key);
      assert.equal(take("a").allowed, true);
    });
  });
}

describe("slidingWindow", () => {
  test("around the end of a window no more than the quota, where a fixed one would let twice as much through", async () => {
    const clock = new VirtualClock();
    const take = local(slidingWindow({ limit: 100, clock }));
    await clock.advance(900);
    for (let i = 0; i < 100; i++) assert.equal(take("a").allowed, true);
    const refused = take("a");
    assert.equal(refused.allowed, false);
    // In the next window a hundredth of what was before must have gone out of sight.
    assert.ok(Math.abs(refused.retryAfterMs - 110) < 1e-6, `${refused.retryAfterMs}`);
    await clock.advance(refused.retryAfterMs - 0.1);
    assert.equal(take("a").allowed, false);
    await clock.advance(0.2);
    assert.equal(take("a").allowed, true);
    assert.equal(take("a").allowed, false);
  });

  test("what it says to wait is enough, and not too much, whatever came before", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(700), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        async (gaps, cost) => {
          const clock = new VirtualClock();
          const take = local(slidingWindow({ limit: 10, clock }));
          for (const gap of gaps) {
            await clock.run(gap);
            take("a");
          }
          const { allowed, retryAfterMs } = take("a", cost);
          if (allowed) return;
          assert.ok(retryAfterMs > 0 && retryAfterMs <= 2000);
          await clock.run(retryAfterMs + 0.01);
          assert.equal(take("a", cost).allowed, true, `not after ${retryAfterMs} ms`);
        },
      ),
    );
  });
});

test("a million keys take the memory of so many as are kept", () => {
  const keyed = new Keyed(1000, () => ({}));
  for (let i = 0; i < 1_000_000; i++) keyed.get(`key ${i}`);
  assert.equal(keyed.size, 1000);
});

describe("at the entrance", () => {
  const incoming = (tenant = "a") => {
    const responseHeaders = new Metadata();
    const headers = new Metadata({ "x-tenant": tenant });
    return { responseHeaders, ctx: withValue(background(), serverCallKey, { headers, responseHeaders } as ServerCall) };
  };

  test("what is over the quota is refused with the time to wait; every answer tells how it stands", async () => {
    const clock = new VirtualClock();
    const call = rateLimit({ limiter: tokenBucket({ limit: 2, windowMs: 60_000, clock }), policy: "free" })(ok, method);
    const first = incoming();
    assert.equal(await call(first.ctx, {}), "ok");
    assert.deepEqual(
      [...first.responseHeaders.entries()],
      [
        ["ratelimit-policy", '"free";q=2;w=60'],
        ["ratelimit", '"free";r=1;t=30'],
      ],
    );
    await call(incoming().ctx, {});
    const third = incoming();
    const error = (await call(third.ctx, {}).catch((thrown: unknown) => thrown)) as ServiceError;
    assert.equal(error.code, "resource_exhausted");
    assert.equal(error.message, 'over the quota "free" of 2: try again in 30000 ms');
    assert.equal(error.retry?.afterMs, 30_000);
    assert.equal(third.responseHeaders.get("ratelimit"), '"free";r=0;t=30');
  });

  test("by key, and by cost", async () => {
    const call = rateLimit({
      limiter: gcra({ limit: 3, windowMs: 60_000, clock: new VirtualClock() }),
      key: (ctx) => ctx.value(serverCallKey)!.headers.get("x-tenant")!,
      cost: (_ctx, request) => request as number,
    })(ok, method);
    await call(incoming("a").ctx, 3);
    await assert.rejects(call(incoming("a").ctx, 1), /over the quota/);
    await call(incoming("b").ctx, 2);
    const long = "x".repeat(10_000);
    await call(incoming(long).ctx, 3);
    await assert.rejects(call(incoming(`${long}y`).ctx, 1), /over the quota/);
  });

  test("a limiter that decides later is waited for", async () => {
    const limiter = tokenBucket({ limit: 1, clock: new VirtualClock() });
    const later: RateLimiter = { quota: limiter.quota, take: async (key, cost) => limiter.take(key, cost) };
    const call = rateLimit({ limiter: later })(ok, method);
    assert.equal(await call(background(), {}), "ok");
    await assert.rejects(call(background(), {}), /over the quota/);
  });
});

describe("on the way out", () => {
  function bed(maxWaiting?: number) {
    const clock = new VirtualClock();
    const went: [unknown, number][] = [];
    const endpoint: Endpoint = async (_ctx, name) => void went.push([name, clock.now()]);
    const limiter = tokenBucket({ limit: 10, burst: 1, clock });
    const call = pace({ limiter, ...(maxWaiting !== undefined && { maxWaiting }) })(endpoint, method);
    return { clock, ctx: background(clock), went, call };
  }

  test("calls go at the rate, in their order", async () => {
    const { clock, ctx, went, call } = bed();
    const all = Promise.all(["a", "b", "c", "d"].map((name) => call(ctx, name)));
    await clock.advance(1000);
    await all;
    assert.deepEqual(
      went.map(([name, at]) => [name, Math.round(at)]),
      [
        ["a", 0],
        ["b", 100],
        ["c", 200],
        ["d", 300],
      ],
    );
    assert.equal(clock.pending, 0);
  });

  test("one that could not go before its deadline fails at once, and takes nothing from the others", async () => {
    const { clock, ctx, call, went } = bed();
    await call(ctx, "a");
    const late = call(withTimeout(ctx, 50), "late").catch((error: unknown) => error as ServiceError);
    const next = call(ctx, "b");
    await clock.advance(0);
    const error = (await late) as ServiceError;
    assert.match(error.message, /not sent: the quota has room in 100 ms, later than the deadline/);
    assert.equal(error.retry?.unprocessed, true);
    await clock.advance(100);
    await next;
    assert.deepEqual(went.at(-1), ["b", 100]);
  });

  test("who gives up makes way, and too many are refused", async () => {
    const { clock, ctx, call, went } = bed(2);
    await call(ctx, "a");
    const scope = withCancel(ctx);
    const gone = call(scope, "gone").catch((error: unknown) => (error as ServiceError).code);
    const next = call(ctx, "b");
    await assert.rejects(call(ctx, "c"), /not sent: 2 calls wait for it already/);
    scope.cancel();
    assert.equal(await gone, "canceled");
    await clock.advance(100);
    await next;
    assert.equal(went.length, 2);
    assert.equal(clock.pending, 0);
  });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => gcra({ limit: 0 }), /gcra: limit/);
  assert.throws(() => gcra({ limit: 1, burst: 0.5 }), /gcra: burst/);
  assert.throws(() => tokenBucket({ limit: 1, windowMs: 0 }), /tokenBucket: windowMs/);
  assert.throws(() => tokenBucket({ limit: 1, burst: Infinity }), /tokenBucket: burst/);
  assert.throws(() => slidingWindow({ limit: 1, maxKeys: 0 }), /slidingWindow: maxKeys/);
  assert.throws(() => rateLimit({ limiter: gcra({ limit: 1 }), policy: 'a"b' }), /rateLimit: policy/);
  assert.throws(() => pace({ limiter: gcra({ limit: 1 }), maxWaiting: -1 }), /pace: maxWaiting/);
});
