import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { background, withCancel, withTimeout, withValue } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { type OutgoingCall, outgoingCallKey } from "../../endpoint/observer.ts";
import { detailTypes, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type EgressLimitOptions, egressLimit } from "./egress-limit.ts";
import { gcra } from "./gcra.ts";
import type { Decision, LocalRateLimiter, RateLimiter } from "./limiter.ts";

const io = { input: z.object({}), output: z.object({}) };
const [one] = contract("a.B", { one: unary(io) }).methods as [Parameters<ReturnType<typeof egressLimit>>[1]];

/** The same limiter, answering a while later, as one over the network does. */
function late(limiter: LocalRateLimiter, clock: VirtualClock, ms: number): RateLimiter {
  const { limit, windowMs, burst } = limiter;
  return {
    limit,
    windowMs,
    burst,
    take: (key, cost) =>
      new Promise<Decision>((resolve) => void clock.schedule(ms, () => resolve(limiter.take(key, cost)))),
  };
}

function bed(options: EgressLimitOptions = {}, clock = new VirtualClock()) {
  const ctx = background(clock);
  const limit = egressLimit(options.limiter === undefined ? { perSecond: 10, burst: 1, clock, ...options } : options);
  /** Name and time of each call that went out. */
  const sent: [unknown, number][] = [];
  const endpoint: Endpoint = async (_ctx, request) => {
    sent.push([request, clock.now()]);
    return request;
  };
  const limited = limit(endpoint, one);
  const failed: Record<string, ServiceError> = {};
  const call = (name: string, under: Context = ctx): void => {
    limited(under, name).catch((error: unknown) => {
      failed[name] = ServiceError.from(error);
    });
  };
  return { clock, ctx, limit, limited, call, sent, failed };
}

for (const [kind, delayMs] of [
  ["at once", undefined],
  ["over the network", 2],
] as const) {
  describe(`turns, with a limiter that answers ${kind}`, () => {
    const make = (options: EgressLimitOptions = {}) => {
      const clock = new VirtualClock();
      const { maxWaiting, ...rate } = options;
      const local = gcra({ perSecond: 10, burst: 1, clock, ...rate });
      const limiter = delayMs === undefined ? local : late(local, clock, delayMs);
      return bed({ limiter, ...(maxWaiting !== undefined && { maxWaiting }) }, clock);
    };

    test("calls beyond the rate wait, first come first served, and nothing is left behind", async () => {
      const { clock, call, sent, limit } = make();
      for (const name of ["a", "b", "c", "d"]) call(name);
      await clock.advance(1000);
      assert.deepEqual(
        sent.map(([name]) => name),
        ["a", "b", "c", "d"],
      );
      for (const [i, [, at]] of sent.entries()) {
        // With a burst of 1 the time that an answer takes is not made good.
        const slack = (delayMs ?? 0) * 2 * (i + 1);
        assert.ok(at >= i * 100 && at <= i * 100 + slack, `${i} at ${at}`);
      }
      assert.equal(limit.waiting, 0);
      assert.equal(clock.pending, 0);
    });

    test("a canceled call leaves its place, wherever it stands", async () => {
      const { clock, ctx, call, sent, failed, limit } = make();
      const [first, middle] = [withCancel(ctx), withCancel(ctx)];
      call("a");
      await clock.advance(10);
      call("b", first);
      await clock.advance(10);
      call("c", middle);
      call("d");
      await clock.advance(10);
      assert.equal(limit.waiting, 3);
      first.cancel();
      middle.cancel();
      await clock.advance(10);
      assert.equal(limit.waiting, 1);
      assert.deepEqual([failed["b"]?.code, failed["c"]?.code], ["canceled", "canceled"]);
      await clock.advance(70);
      assert.deepEqual(
        sent.map(([name]) => name),
        ["a", "d"],
      );
      assert.equal(clock.pending, 0);
    });

    test("no more wait than may", async () => {
      const { clock, call, failed, limit, sent } = make({ maxWaiting: 2 });
      call("a");
      await clock.advance(10);
      for (const name of ["b", "c", "d"]) call(name);
      await clock.advance(10);
      assert.deepEqual(Object.keys(failed), ["d"]);
      assert.match(failed["d"]!.message, /over egress limit "egress": 2 calls wait already/);
      assert.equal(failed["d"]!.code, "resource_exhausted");
      assert.equal(failed["d"]!.retry?.unprocessed, true);
      assert.deepEqual([limit.waiting, limit.refused], [2, 1]);
      await clock.advance(1000);
      assert.equal(sent.length, 3);
    });

    test("a call whose context is done already takes nothing", async () => {
      const { clock, ctx, call, failed, sent } = make();
      const gone = withCancel(ctx);
      gone.cancel();
      call("gone", gone);
      call("a");
      await clock.advance(10);
      assert.equal(failed["gone"]?.code, "canceled");
      assert.equal(sent.length, 1);
    });
  });
}

describe("deadlines", () => {
  test("a call that could not be in time fails at once, and reached nobody", async () => {
    const { clock, ctx, call, failed, sent, limit } = bed();
    call("a");
    call("b", withTimeout(ctx, 150));
    call("c", withTimeout(ctx, 150));
    call("d", withTimeout(ctx, 250));
    await clock.advance(0);
    assert.deepEqual(Object.keys(failed), ["c"]);
    const c = failed["c"]!;
    assert.equal(c.code, "resource_exhausted");
    assert.match(c.message, /the turn of this call would come in 200 ms, and its deadline is in 150 ms/);
    assert.deepEqual(c.retry, { afterMs: 200, unprocessed: true });
    assert.equal(findDetail<{ reason: string }>(c, detailTypes.errorInfo)?.reason, "RATE_LIMITED");
    assert.equal(limit.refused, 1);
    await clock.advance(500);
    assert.deepEqual(sent, [
      ["a", 0],
      ["b", 100],
      ["d", 200],
    ]);
    assert.deepEqual(Object.keys(failed), ["c"]);
  });

  test("the time is worked out with all that wait before it, and what they cost", async () => {
    const cost = (_ctx: Context, request: unknown): number => Number(String(request).slice(1));
    const { clock, ctx, call, failed, sent } = bed({ burst: 5, cost });
    for (const name of ["a5", "b2", "c3", "d1"]) call(name);
    call("e1", withTimeout(ctx, 700));
    call("f1", withTimeout(ctx, 701));
    await clock.advance(0);
    assert.deepEqual(Object.keys(failed), ["e1"]);
    assert.match(failed["e1"]!.message, /would come in 700 ms/);
    await clock.advance(1000);
    assert.deepEqual(sent.at(-1), ["f1", 700]);
  });

  test("the first to be refused does not wait either when it would be too late", async () => {
    const { clock, ctx, call, failed, limit } = bed();
    call("a");
    call("b", withTimeout(ctx, 99));
    await clock.advance(0);
    assert.match(failed["b"]!.message, /would come in 100 ms, and its deadline is in 99 ms/);
    assert.deepEqual([limit.waiting, clock.pending], [0, 0]);
  });

  test("when others take what it waited for, it fails as soon as that is known", async () => {
    const clock = new VirtualClock();
    const limiter = gcra({ perSecond: 10, burst: 1, clock });
    const { call, ctx, failed } = bed({ limiter }, clock);
    call("a");
    call("b", withTimeout(ctx, 150));
    await clock.advance(50);
    // Another process, say, which gets in between.
    const stolen = { at: -1 };
    const take = limiter.take.bind(limiter);
    limiter.take = (key, cost) => {
      if (stolen.at < 0) {
        stolen.at = clock.now();
        take(key, cost);
      }
      return take(key, cost);
    };
    await clock.advance(60);
    assert.equal(stolen.at, 100);
    assert.equal(failed["b"]?.code, "resource_exhausted");
    assert.match(failed["b"].message, /others took what it waited for, and its deadline is in 50 ms/);
  });
});

describe("costs and keys", () => {
  test("a costly call waits for all its units, and those behind it wait, too", async () => {
    const { clock, call, sent } = bed({ burst: 5, cost: (_ctx, request) => Number(String(request).slice(1)) });
    for (const name of ["a5", "b3", "c1"]) call(name);
    await clock.advance(1000);
    assert.deepEqual(sent, [
      ["a5", 0],
      ["b3", 300],
      ["c1", 400],
    ]);
  });

  test("when a costly call at the head is canceled, those behind it do not wait for its units", async () => {
    const cost = (_ctx: Context, request: unknown): number => Number(String(request).slice(1));
    const { clock, ctx, call, sent } = bed({ burst: 5, cost });
    const costly = withCancel(ctx);
    call("a5");
    call("b5", costly);
    call("c1");
    await clock.advance(50);
    costly.cancel();
    await clock.advance(1000);
    assert.deepEqual(sent, [
      ["a5", 0],
      ["c1", 100],
    ]);
  });

  test("a line whose only call is canceled leaves no timer, and the next call finds none", async () => {
    const { clock, ctx, call, sent, limit } = bed();
    const only = withCancel(ctx);
    call("a");
    call("b", only);
    await clock.advance(50);
    only.cancel();
    await clock.advance(0);
    assert.deepEqual([clock.pending, limit.waiting], [0, 0]);
    await clock.advance(50);
    call("c");
    await clock.advance(0);
    assert.deepEqual(sent.at(-1), ["c", 100]);
  });

  test("a call that could never pass fails", async () => {
    const { clock, call, failed, limit } = bed({ cost: () => 2 });
    call("a");
    await clock.advance(0);
    assert.match(failed["a"]!.message, /costs 2 units, and rate limit "egress" never admits more than 1/);
    assert.equal(limit.refused, 1);
  });

  test("each key has a line of its own, and undefined none", async () => {
    const key = (_ctx: Context, { service }: { service: string }) => (service === "free" ? undefined : service);
    const { clock, ctx, limit, sent } = bed({ key });
    const endpoint: Endpoint = async (_ctx, request) => void sent.push([String(request), clock.now()]);
    for (const service of ["x", "y", "free"]) {
      const limited = limit(endpoint, { ...one, service });
      for (const i of [1, 2]) void limited(ctx, `${service}${i}`);
    }
    await clock.advance(150);
    assert.deepEqual(sent.map(([name, at]) => `${String(name)} ${at}`).sort(), [
      "free1 0",
      "free2 0",
      "x1 0",
      "x2 100",
      "y1 0",
      "y2 100",
    ]);
  });
});

describe("what fails", () => {
  test("a limiter that fails fails the call, and the next is served", async () => {
    const answers = [
      () => ({ allowed: false, retryAfterMs: 10 }),
      () => {
        throw new Error("lost");
      },
      () => ({ allowed: true }),
    ];
    for (const wrap of [(f: () => unknown) => f(), async (f: () => unknown) => f()]) {
      const list = [...answers];
      const take = () => wrap(list.shift()!) as Decision;
      const { clock, call, failed, sent, limit } = bed({ limiter: { limit: 1, windowMs: 1000, burst: 1, take } });
      call("a");
      await clock.advance(1);
      call("b");
      await clock.advance(100);
      assert.equal((failed["a"]!.cause as Error).message, "lost");
      assert.equal(sent.length, 1);
      assert.equal(limit.waiting, 0);
    }
  });

  test("a limiter that names no time to wait is asked again, but not in a busy loop", async () => {
    let asked = 0;
    const take = () => ({ allowed: ++asked > 5, limit: 1, remaining: 0, retryAfterMs: 0, resetMs: 0 });
    const { clock, call, sent } = bed({ limiter: { limit: 1, windowMs: 1000, burst: 1, take } });
    call("a");
    await clock.advance(100);
    assert.deepEqual(sent, [["a", 5]]);
  });

  test("what is not legal is named", () => {
    assert.throws(() => egressLimit({}), /limit or perSecond must be given/);
    assert.throws(
      () => egressLimit({ perSecond: 1, maxWaiting: -1 }),
      /egressLimit: maxWaiting must be 0 or more, got -1/,
    );
    assert.throws(() => egressLimit({ perSecond: 1, cost: 2 }), /egressLimit: cost must be above 0 and at most/);
    assert.throws(() => egressLimit({ limiter: gcra({ perSecond: 1 }), burst: 2 }), /egressLimit: burst is an option/);
  });
});

test("waiting is told to the observer of the call, with how it ended", async () => {
  const { clock, ctx, call, failed } = bed();
  const told: string[] = [];
  const observer = {
    waits(what: string) {
      told.push(`waits for ${what} at ${clock.now()}`);
      return (error?: unknown) =>
        void told.push(`over at ${clock.now()} ${error === undefined ? "" : (error as ServiceError).code}`);
    },
  } as OutgoingCall;
  const observed = withValue(ctx, outgoingCallKey, observer);
  const canceled = withCancel(observed);
  call("a", observed);
  call("b", observed);
  await clock.advance(100);
  assert.deepEqual(told.splice(0), ["waits for rate limit at 0", "over at 100 "]);
  call("c", canceled);
  await clock.advance(20);
  canceled.cancel();
  await clock.advance(0);
  assert.deepEqual(told, ["waits for rate limit at 100", "over at 120 canceled"]);
  assert.equal(failed["c"]?.code, "canceled");
});

test("whatever arrives, is canceled or has little time: in order, within the rate, and nobody is forgotten", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          gapMs: fc.integer({ min: 0, max: 60 }),
          leftMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
          cancelMs: fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined }),
        }),
        { maxLength: 40 },
      ),
      fc.constantFrom(undefined, 3),
      async (list, delayMs) => {
        const clock = new VirtualClock();
        const local = gcra({ perSecond: 20, burst: 3, clock });
        const limiter = delayMs === undefined ? local : late(local, clock, delayMs);
        const { ctx, call, sent, failed, limit } = bed({ limiter }, clock);
        for (const [i, { gapMs, leftMs, cancelMs }] of list.entries()) {
          await clock.advance(gapMs);
          const own = withCancel(leftMs === undefined ? ctx : withTimeout(ctx, leftMs));
          if (cancelMs !== undefined) clock.schedule(cancelMs, () => own.cancel());
          call(String(i), own);
        }
        await clock.advance(10_000);
        assert.equal(sent.length + Object.keys(failed).length, list.length);
        assert.deepEqual([limit.waiting, clock.pending], [0, 0]);
        const order = sent.map(([name]) => Number(name));
        if (delayMs === undefined)
          assert.deepEqual(
            order,
            order.toSorted((a, b) => a - b),
          );
        for (let first = 0; first < sent.length; first++) {
          for (let last = first; last < sent.length; last++) {
            const units = last - first + 1;
            const ms = sent[last]![1] - sent[first]![1];
            assert.ok(units <= 3 + (ms * 20) / 1000 + 1e-6, `${units} in ${ms} ms`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});
