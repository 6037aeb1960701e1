import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, VirtualClock } from "flotilla/clock";
import type { Decision } from "flotilla/resilience";
import { type RedisRateLimiterOptions, redisRateLimiter } from "./redis-rate-limiter.ts";
import type { RedisScripts, ScriptInput } from "./redis-scripts.ts";

/** A Redis that answers as it is told to. */
class FakeRedis implements RedisScripts {
  isReady = true;
  answer: () => unknown = () => [1, "0"];
  knows = true;
  readonly calls: string[] = [];
  readonly inputs: ScriptInput[] = [];

  async evalSha(sha1: string, input: ScriptInput): Promise<unknown> {
    assert.match(sha1, /^[0-9a-f]{40}$/);
    this.calls.push("evalSha");
    this.inputs.push(input);
    if (!this.knows) throw new Error("NOSCRIPT No matching script. Please use EVAL.");
    return this.answer();
  }

  async eval(script: string, input: ScriptInput): Promise<unknown> {
    assert.match(script, /redis\.call\("TIME"\)/);
    this.calls.push("eval");
    this.inputs.push(input);
    this.knows = true;
    return this.answer();
  }
}

const never = (): Promise<never> => new Promise(() => {});
const fails = (): never => {
  throw new Error("READONLY You can't write against a read only replica.");
};

function bed(options: Partial<RedisRateLimiterOptions> = {}) {
  const clock = new VirtualClock();
  const redis = new FakeRedis();
  const changes: string[] = [];
  const limiter = redisRateLimiter({
    client: redis,
    limit: 10,
    burst: 5,
    clock,
    random: { next: () => 0 },
    onChange: (state, reason) => void changes.push(`${state} ${reason instanceof Error ? reason.message : ""}`),
    ...options,
  });
  /** The decision, whatever time it takes. */
  const take = async (key = "k", cost = 1): Promise<Decision> => {
    const decision = limiter.take(key, cost);
    if (!(decision instanceof Promise)) return decision;
    let settled = false;
    void decision.finally(() => (settled = true));
    await clock.advance(0);
    while (!settled) await clock.advance(1);
    return decision;
  };
  return { clock, redis, limiter, take, changes };
}

describe("asking", () => {
  test("one round trip with one key, the cost and the tolerance in microseconds", async () => {
    const { redis, take } = bed({ prefix: "p:" });
    redis.answer = () => [1, "250000.5"];
    assert.deepEqual(await take("ä b", 2.5), {
      allowed: true,
      limit: 10,
      remaining: 2,
      retryAfterMs: 0,
      resetMs: 250.0005,
    });
    assert.deepEqual(redis.calls, ["evalSha"]);
    const [{ keys, arguments: args }] = redis.inputs as [ScriptInput];
    assert.deepEqual([keys, args[0]], [["p:ä b"], "250000"]);
    assert.ok(Math.abs(Number(args[1]) - 500_000) <= 0.2);
  });

  test("a refusal tells when to come again", async () => {
    const { redis, take } = bed();
    redis.answer = () => [0, "450000"];
    const { allowed, remaining, retryAfterMs, resetMs } = await take("k", 2);
    assert.deepEqual([allowed, remaining, resetMs], [false, 0, 450]);
    assert.ok(retryAfterMs > 150 && retryAfterMs < 150.01);
  });

  test("a script that Redis does not know is sent in full, once", async () => {
    const { redis, take, limiter } = bed();
    redis.knows = false;
    assert.equal((await take()).allowed, true);
    assert.equal((await take()).allowed, true);
    assert.deepEqual(redis.calls, ["evalSha", "eval", "evalSha"]);
    assert.equal(limiter.withoutRedis, 0);
  });

  test("nothing is left behind by a decision", async () => {
    const { clock, take } = bed();
    for (let i = 0; i < 20; i++) await take();
    assert.equal(clock.pending, 0);
  });

  test("a cost that is none, or could never pass, is an error", () => {
    const { limiter, redis } = bed();
    for (const cost of [-1, Number.NaN, 6, Infinity]) assert.throws(() => limiter.take("k", cost), RangeError);
    assert.deepEqual(redis.calls, []);
  });
});

describe("the loss of Redis", () => {
  test("a decision waits as long as it may, then is made without; after three nobody asks", async () => {
    const { clock, redis, take, limiter, changes } = bed({ timeoutMs: 8 });
    redis.answer = never;
    for (let i = 0; i < 3; i++) {
      const before = clock.now();
      assert.equal((await take()).allowed, true);
      assert.equal(clock.now() - before, 8);
    }
    assert.equal(limiter.state, "lost");
    assert.deepEqual(changes, ["lost Redis did not answer in 8 ms"]);
    for (let i = 0; i < 5; i++) assert.ok(!(limiter.take("k") instanceof Promise));
    assert.equal(redis.calls.length, 3);
    assert.equal(limiter.withoutRedis, 8);
    assert.equal(clock.pending, 0);
  });

  test("it tells of the loss, and of how many decisions were made without", async () => {
    const { limiter, redis } = bed();
    const [policy] = limiter.policies!;
    const lines: string[] = [];
    policy!.listen!(({ level, message }) => lines.push(`${level}: ${message}`));
    redis.answer = fails;
    for (let i = 0; i < 4; i++) await limiter.take("a");
    const values: Record<string, number> = {};
    policy!.measure(({ name }, value) => void (values[name] = value));
    assert.deepEqual(values, { "flotilla.redis_limiter.lost": 1, "flotilla.redis_limiter.without_redis": 4 });
    assert.deepEqual(lines, [
      "warning: rate limits are decided without Redis: READONLY You can't write against a read only replica.",
    ]);
    assert.equal(policy!.describe()[0]!["state"], "lost");
  });

  test("errors count as silence does, and are told; one success makes good for two failures", async () => {
    const { redis, take, limiter } = bed();
    for (const answer of [fails, fails, () => [1, "0"], fails, fails, () => "nonsense"]) {
      assert.equal(limiter.state, "connected");
      redis.answer = answer;
      await take();
    }
    assert.equal(limiter.state, "lost");
    assert.match(String(limiter.lastError), /returned what it never returns/);
    assert.equal(limiter.withoutRedis, 5);
  });

  test("without a connection it is decided at once, and with one again by Redis at once", async () => {
    const { redis, take, limiter, changes } = bed();
    redis.isReady = false;
    assert.ok(!(limiter.take("k") instanceof Promise));
    assert.deepEqual([limiter.state, changes], ["lost", ["lost "]]);
    redis.isReady = true;
    await take();
    assert.deepEqual([limiter.state, redis.calls], ["connected", ["evalSha"]]);
    assert.deepEqual(changes, ["lost ", "connected "]);
  });

  test("probes are sent in ever longer pauses, for which nobody waits; the first that is answered ends it", async () => {
    const { clock, redis, take, limiter, changes } = bed({ timeoutMs: 8 });
    redis.answer = never;
    for (let i = 0; i < 3; i++) await take();
    const probes: number[] = [];
    const start = clock.now();
    while (clock.now() - start < 20_000) {
      const before = redis.calls.length;
      assert.ok(!(limiter.take("k") instanceof Promise), "nobody waits");
      if (redis.calls.length > before) probes.push(clock.now() - start);
      await clock.advance(1);
    }
    const pauses = probes.map((at, i) => at - (probes[i - 1] ?? 0));
    // Each begins when the probe before it has run out of time.
    assert.deepEqual(pauses.slice(0, 4), [100, 208, 408, 808]);
    assert.ok(Math.max(...pauses) <= 5_008 && pauses.length <= 12, pauses.join());
    redis.answer = () => [1, "0"];
    const before = clock.now();
    while (limiter.state === "lost" && clock.now() - before < 10_000) {
      void limiter.take("k");
      await clock.advance(1);
    }
    assert.ok(clock.now() - before <= 5_010);
    assert.deepEqual(changes, ["lost Redis did not answer in 8 ms", "connected "]);
    const asked = redis.calls.length;
    await take();
    assert.equal(redis.calls.length, asked + 1);
  });

  test("pauses are shortened by chance, so that not all come back at once", async () => {
    const { clock, redis, take, limiter } = bed({ random: { next: () => 0.5 } });
    redis.answer = fails;
    for (let i = 0; i < 3; i++) await take();
    await clock.advance(74);
    void limiter.take("k");
    assert.equal(redis.calls.length, 3);
    await clock.advance(1);
    void limiter.take("k");
    assert.equal(redis.calls.length, 4);
  });

  test("a process that stood still itself does not blame Redis", async () => {
    const clock = new VirtualClock();
    let asleepMs = 0;
    const sleepy: Clock = {
      now: () => clock.now() + asleepMs,
      epoch: () => clock.epoch() + asleepMs,
      schedule: (ms, callback) => clock.schedule(ms, callback),
    };
    const { redis, limiter } = bed({ clock: sleepy, timeoutMs: 8 });
    redis.answer = () => new Promise((resolve) => void clock.schedule(12, () => resolve([1, "0"])));
    const held = limiter.take("k") as Promise<Decision>;
    asleepMs = 50;
    await clock.advance(20);
    await held;
    assert.equal(limiter.withoutRedis, 0);
    // Awake it waits as long as it may, and not a second time.
    const late = limiter.take("k") as Promise<Decision>;
    await clock.advance(8);
    await late;
    assert.equal(limiter.withoutRedis, 1);
    await clock.advance(20);
    assert.equal(clock.pending, 0);
  });

  test("an answer that comes late changes nothing", async () => {
    const { clock, redis, take, limiter } = bed({ timeoutMs: 8 });
    redis.answer = () => new Promise((resolve) => void clock.schedule(9, () => resolve([0, "500000"])));
    for (let i = 0; i < 3; i++) assert.equal((await take()).allowed, true);
    await clock.advance(10);
    assert.equal(limiter.state, "lost");
  });
});

describe("what holds meanwhile", () => {
  const lost = (options: Partial<RedisRateLimiterOptions>) => {
    const made = bed(options);
    made.redis.isReady = false;
    return made;
  };

  test("local: a share of the limit", async () => {
    const { clock, take } = lost({ limit: 100, burst: 20, localShare: 0.25 });
    let taken = 0;
    for (let i = 0; i < 2000; i++) {
      if ((await take()).allowed) taken++;
      await clock.advance(1);
    }
    assert.ok(taken >= 53 && taken <= 55, `${taken}`);
  });

  test("local: a request that costs more than the share of the burst passes when all of that is free", async () => {
    const { take, clock } = lost({ limit: 100, burst: 20, localShare: 0.25 });
    assert.equal((await take("k", 20)).allowed, true);
    const { allowed, retryAfterMs } = await take("k", 20);
    assert.equal(allowed, false);
    await clock.advance(retryAfterMs);
    assert.equal((await take("k", 20)).allowed, true);
  });

  test("open: everything", async () => {
    const { take } = lost({ onLoss: "open" });
    for (let i = 0; i < 50; i++) assert.equal((await take()).allowed, true);
  });

  test("closed: nothing, with a time to come again", async () => {
    const { take, redis } = lost({ onLoss: "closed" });
    const { allowed, remaining, retryAfterMs } = await take();
    assert.deepEqual([allowed, remaining, retryAfterMs], [false, 0, 100]);
    redis.isReady = true;
    assert.equal((await take()).allowed, true);
  });
});

test("what is not legal is named", () => {
  const client = new FakeRedis();
  const bad: [RedisRateLimiterOptions, RegExp][] = [
    [{ perSecond: 1 }, /redisRateLimiter: either client or url must be given/],
    [{ perSecond: 1, client, url: "redis://127.0.0.1" }, /either client or url/],
    [{ client }, /limit or perSecond must be given/],
    [{ client, perSecond: 1, onLoss: "maybe" as "open" }, /onLoss must be local, open or closed, got maybe/],
    [{ client, perSecond: 1, localShare: 0 }, /localShare must be above 0 and at most 1, got 0/],
    [{ client, perSecond: 1, localShare: 2 }, /localShare/],
    [{ client, perSecond: 1, timeoutMs: 0 }, /timeoutMs must be above 0 and finite, got 0/],
  ];
  for (const [options, message] of bad) assert.throws(() => redisRateLimiter(options), message);
});
