import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { contextKey } from "../../context/key.ts";
import { background, withValue } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { detailTypes, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { gcra } from "./gcra.ts";
import { byHeader, byPeer } from "./keys.ts";
import type { Decision, RateLimiter } from "./limiter.ts";
import { type RateLimitOptions, type RateLimitRefusal, rateLimit } from "./rate-limit.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { one: unary(io), two: unary(io) });
const [one, two] = methods as [(typeof methods)[0], (typeof methods)[0]];

/** An incoming call as middlewares see it, with what the answer will carry. */
function incoming(
  ctx: Context,
  { peer = "192.0.2.1:4711", headers = {} }: { peer?: string; headers?: Record<string, string> } = {},
) {
  const responseHeaders = new Metadata();
  const call: ServerCall = {
    headers: new Metadata(headers),
    traceparent: undefined,
    tracestate: undefined,
    deadline: undefined,
    observation: undefined,
    responseHeaders,
    responseTrailers: new Metadata(),
    peer,
    protocol: "test",
  };
  return { ctx: withValue(ctx, serverCallKey, call), responseHeaders };
}

function bed(options: RateLimitOptions = {}) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const limit = rateLimit(options.limiter === undefined ? { perSecond: 10, burst: 2, clock, ...options } : options);
  const endpoint: Endpoint = (_ctx, request) => Promise.resolve(request);
  const limited = limit(endpoint, one);
  const call = (under: Context = ctx, request: unknown = "hello") =>
    limited(under, request).catch((error: unknown) => error);
  return { clock, ctx, limit, endpoint, limited, call };
}

describe("refusals", () => {
  test("over the limit it is resource_exhausted with the time to come again, and the handler is not called", async () => {
    const refusals: RateLimitRefusal[] = [];
    const { call, clock, limit } = bed({ onRefused: (refusal) => void refusals.push(refusal), policy: "all" });
    assert.deepEqual([await call(), await call()], ["hello", "hello"]);
    await clock.advance(25);
    const error = await call();
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "resource_exhausted");
    assert.equal(error.message, 'over rate limit "all" of 10 per 1 s');
    assert.deepEqual(error.retry, { afterMs: 75 });
    assert.deepEqual(findDetail(error, detailTypes.errorInfo), {
      reason: "RATE_LIMITED",
      domain: "flotilla.dev",
      metadata: { policy: "all" },
    });
    assert.deepEqual([limit.admitted, limit.refused], [2, 1]);
    const [{ policy, key, method, decision }] = refusals as [RateLimitRefusal];
    assert.deepEqual([policy, key, method, decision.retryAfterMs], ["all", "", one, 75]);
    await clock.advance(75);
    assert.equal(await call(), "hello");
  });

  test("one limiter serves all methods", async () => {
    const { call, ctx, limit, endpoint } = bed();
    const other = limit(endpoint, two);
    assert.equal(await call(), "hello");
    assert.equal(await other(ctx, "x"), "x");
    await assert.rejects(other(ctx, "x"), { code: "resource_exhausted" });
  });

  test("a limiter that takes time is waited for", async () => {
    const decisions: Decision[] = [
      { allowed: true, limit: 1, remaining: 0, retryAfterMs: 0, resetMs: 1 },
      { allowed: false, limit: 1, remaining: 0, retryAfterMs: 7, resetMs: 7 },
    ];
    const limiter: RateLimiter = { limit: 1, windowMs: 1000, burst: 1, take: async () => decisions.shift()! };
    const { call } = bed({ limiter });
    assert.equal(await call(), "hello");
    assert.deepEqual(((await call()) as ServiceError).retry, { afterMs: 7 });
  });

  test("a key or cost that throws fails the call, and nothing escapes", async () => {
    const broken = (): never => {
      throw new Error("no principal");
    };
    assert.match(String(await bed({ key: broken }).call()), /no principal/);
    assert.match(String(await bed({ cost: broken }).call()), /no principal/);
    assert.match(String(await bed({ cost: () => -1 }).call()), /cost must be 0 or more, got -1/);
  });
});

describe("costs", () => {
  test("a call takes what it costs", async () => {
    const { call } = bed({ burst: 10, cost: (_ctx, request) => (request as string).length });
    assert.equal(await call(undefined, "12345678"), "12345678");
    assert.deepEqual(((await call(undefined, "123")) as ServiceError).retry, { afterMs: 100 });
    assert.equal(await call(undefined, "12"), "12");
  });

  test("a call that could never pass is told never to come again", async () => {
    const { call, limit } = bed({ cost: () => 3 });
    const error = (await call()) as ServiceError;
    assert.equal(error.code, "resource_exhausted");
    assert.match(error.message, /costs 3 units, and rate limit "default" never admits more than 2 at once/);
    assert.deepEqual(error.retry, { never: true });
    assert.equal(limit.refused, 1);
  });
});

describe("keys", () => {
  const whoami = contextKey<string>("test.who");

  test("anything in the context, and undefined is not limited", async () => {
    const { call, ctx } = bed({ burst: 1, key: (inner) => inner.value(whoami) });
    const as = (who: string): Context => withValue(ctx, whoami, who);
    assert.equal(await call(as("ann")), "hello");
    assert.ok((await call(as("ann"))) instanceof ServiceError);
    assert.equal(await call(as("bob")), "hello");
    for (let i = 0; i < 5; i++) assert.equal(await call(ctx), "hello");
  });

  test("each method, when the key says so", async () => {
    const { call, ctx, limit, endpoint } = bed({ burst: 1, key: (_ctx, { procedure }) => procedure });
    assert.equal(await call(), "hello");
    assert.equal(await limit(endpoint, two)(ctx, "x"), "x");
    assert.ok((await call()) instanceof ServiceError);
  });

  test("addresses: without ports, and IPv6 by its first 64 bits", () => {
    const key = byPeer();
    const of = (peer: string): string | undefined => key(incoming(background(), { peer }).ctx, one);
    assert.equal(of("192.0.2.1:4711"), "192.0.2.1");
    assert.equal(of("192.0.2.1:4712"), "192.0.2.1");
    assert.equal(of("[::ffff:192.0.2.1]:4711"), "192.0.2.1");
    assert.equal(of("[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2/64");
    assert.equal(of("[2001:db8:1:2::9]:1"), "2001:db8:1:2/64");
    assert.equal(of("[2001:db8::9]:1"), "2001:db8:0:0/64");
    assert.equal(of("[::1]:1"), "0:0:0:0/64");
    assert.equal(of("[fe80::1%eth0]:1"), "fe80:0:0:0/64");
    assert.equal(of("memory"), "memory");
    assert.equal(key(background(), one), "");
  });

  test("headers, however long, keep keys short", async () => {
    const keys: string[] = [];
    const limiter: RateLimiter = {
      limit: 1,
      windowMs: 1000,
      burst: 1,
      take(key) {
        keys.push(key);
        return { allowed: true, limit: 1, remaining: 1, retryAfterMs: 0, resetMs: 0 };
      },
    };
    const { call, ctx } = bed({ limiter, key: byHeader("X-Api-Key") });
    const sent = [undefined, "k1", "a".repeat(128), "b".repeat(129), `${"b".repeat(129)}c`, "b".repeat(129)];
    for (const value of sent) {
      await call(incoming(ctx, value === undefined ? {} : { headers: { "x-api-key": value } }).ctx);
    }
    assert.deepEqual(keys.slice(0, 3), ["", "k1", "a".repeat(128)]);
    assert.ok(keys.every(({ length }) => length <= 128));
    assert.match(keys[3]!, /^sha256:/);
    assert.notEqual(keys[3], keys[4]);
    assert.equal(keys[3], keys[5]);
    assert.throws(() => byHeader(""), /byHeader: name must not be empty/);
  });
});

describe("headers", () => {
  /** What the answers of calls carry, one after the other. */
  const fields = async (count: number, options: RateLimitOptions): Promise<(string | undefined)[][]> => {
    const { call, ctx } = bed(options);
    const list: (string | undefined)[][] = [];
    for (let i = 0; i < count; i++) {
      const { ctx: inner, responseHeaders } = incoming(ctx);
      const outcome = await call(inner);
      const afterMs = outcome instanceof ServiceError ? outcome.retry?.afterMs : undefined;
      const retryAfter = afterMs === undefined ? undefined : String(Math.ceil(afterMs / 1000));
      list.push([responseHeaders.get("ratelimit-policy"), responseHeaders.get("ratelimit"), retryAfter]);
    }
    return list;
  };

  test("tell the policy, what is left, and the time in which it is used up at the pace admitted", async () => {
    const clock = new VirtualClock();
    const limiter = gcra({ limit: 100, windowMs: 60_000, clock });
    limiter.take("", 49);
    assert.deepEqual(await fields(1, { limiter }), [['"default";q=100;w=60', '"default";r=50;t=30', undefined]]);
    limiter.take("", 50);
    // Not a second of the window must pass before the next unit, but less than one cannot be said.
    assert.deepEqual(await fields(1, { limiter }), [['"default";q=100;w=60', '"default";r=0;t=1', "1"]]);
  });

  test("Retry-After is not earlier than the end of t", async () => {
    for (const cost of [1, 3, 5]) {
      for (const perMinute of [1, 7, 60, 1000]) {
        const list = await fields(12, {
          limiter: gcra({ limit: perMinute, windowMs: 60_000, burst: 7, clock: new VirtualClock() }),
          cost,
        });
        for (const [, state, retryAfter] of list) {
          const t = Number(/;t=(\d+)$/.exec(state!)![1]);
          assert.ok(retryAfter === undefined || Number(retryAfter) >= t, `${state} with ${retryAfter}`);
        }
        assert.ok(list.some(([, , retryAfter]) => retryAfter !== undefined));
      }
    }
    // When some of the time has passed already, too.
    const clock = new VirtualClock();
    const limiter = gcra({ limit: 1, windowMs: 10_000, clock });
    limiter.take("");
    await clock.advance(7000);
    assert.deepEqual(await fields(1, { limiter }), [['"default";q=1;w=10', '"default";r=0;t=3', "3"]]);
  });

  test("windows that are no whole seconds are told as the next longer", async () => {
    const told = async (limit: number, windowMs: number) =>
      (await fields(1, { limiter: gcra({ limit, windowMs, clock: new VirtualClock() }) }))[0]![0];
    assert.equal(await told(50, 500), '"default";q=100;w=1');
    assert.equal(await told(100, 1500), '"default";q=133;w=2');
    assert.equal(await told(1, 10_000), '"default";q=1;w=10');
    assert.equal(await told(0.5, 1000), '"default";q=1;w=2');
  });

  test("several policies stand side by side, the outer first", async () => {
    const clock = new VirtualClock();
    const endpoint: Endpoint = (_ctx, request) => Promise.resolve(request);
    const inner = rateLimit({ perSecond: 10, clock, policy: "inner" })(endpoint, one);
    const both = rateLimit({ limit: 600, windowMs: 60_000, clock, policy: "per minute" })(inner, one);
    const { ctx, responseHeaders } = incoming(background(clock));
    await both(ctx, {});
    assert.deepEqual(responseHeaders.getAll("ratelimit-policy"), ['"per minute";q=600;w=60', '"inner";q=10;w=1']);
    assert.deepEqual(responseHeaders.getAll("ratelimit"), ['"per minute";r=599;t=60', '"inner";r=9;t=1']);
  });

  test("can be left out", async () => {
    assert.deepEqual(await fields(3, { headers: false }), [
      [undefined, undefined, undefined],
      [undefined, undefined, undefined],
      [undefined, undefined, "1"],
    ]);
  });
});

describe("options", () => {
  test("what is not legal is named", () => {
    const limiter = gcra({ perSecond: 1 });
    const bad: [RateLimitOptions, RegExp][] = [
      [{}, /limit or perSecond must be given/],
      [{ limiter, perSecond: 1 }, /rateLimit: perSecond is an option of the limiter that is given/],
      [{ limiter, maxKeys: 1 }, /rateLimit: maxKeys is an option of the limiter/],
      [{ limiter, cost: 2 }, /rateLimit: cost must be above 0 and at most the limiter's burst of 1, got 2/],
      [{ limiter, cost: 0 }, /rateLimit: cost must be above 0/],
      [{ limiter, policy: 'a"b' }, /rateLimit: policy must be 1 to 64 visible ASCII/],
      [{ limiter, policy: "a\\b" }, /policy/],
      [{ limiter, policy: "" }, /policy/],
      [{ limiter, policy: "a\nb" }, /policy/],
    ];
    for (const [options, message] of bad) assert.throws(() => rateLimit(options), message);
  });
});
