import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { createClient, createCluster } from "@redis/client";
import { systemClock } from "flotilla/clock";
import { rateLimiterContract, until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { type RedisRateLimiter, type RedisRateLimiterOptions, redisRateLimiter } from "./redis-rate-limiter.ts";
import type { RedisScripts } from "./redis-scripts.ts";
import type { Asked, Asking } from "./test-fixtures/asking-process.ts";
import { startRedis, type TestRedis } from "./test-fixtures/redis-server.ts";

const skip = await skipWithout("redis-server");
const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.schedule(ms, resolve));

/** On a busy machine an answer may take its time; only tests of the loss of Redis are in a hurry. */
const PATIENT_MS = 2_000;

let redis: TestRedis;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(() => redis?.server.stop());

/** A limiter with a client of its own, connected; closed with the test. */
async function connected(
  t: TestContext,
  options: Partial<RedisRateLimiterOptions>,
  url = redis.url,
): Promise<RedisRateLimiter> {
  const limiter = redisRateLimiter({ url, limit: 10, timeoutMs: PATIENT_MS, ...options });
  t.after(() => limiter.close());
  await until("the limiter is connected", () => limiter.state === "connected");
  return limiter;
}

/** A client of the test's own. */
async function inspector(t: TestContext, url = redis.url) {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.destroy());
  return client;
}

describe("contract", { skip }, () => {
  let made = 0;
  const limiters: RedisRateLimiter[] = [];
  const bed = {
    make: async (needs: { limit: number; windowMs: number; burst: number }) => {
      const limiter = redisRateLimiter({
        url: redis.url,
        prefix: `contract:${made++}:`,
        timeoutMs: PATIENT_MS,
        ...needs,
      });
      limiters.push(limiter);
      await until("the limiter is connected", () => limiter.state === "connected");
      return limiter;
    },
    pass: pause,
    now: () => systemClock.now(),
  };
  for (const { name, run } of rateLimiterContract(bed)) {
    test(name, async () => {
      await run();
      for (const limiter of limiters.splice(0)) {
        assert.equal(limiter.withoutRedis, 0, "Redis was to decide");
        await limiter.close();
      }
    });
  }
});

describe("keys in Redis", { skip }, () => {
  test("have the prefix, are shared by limiters with the same, and expire when the debt is paid", async (t) => {
    const client = await inspector(t);
    const options = { limit: 100, burst: 20, prefix: "mine:" };
    const [one, two] = [await connected(t, options), await connected(t, options)];
    for (let i = 0; i < 10; i++) assert.equal((await (i % 2 === 0 ? one : two).take("a")).allowed, true);
    const ttl = await client.pTTL("mine:a");
    assert.ok(ttl > 0 && ttl <= 101, `${ttl}`);
    assert.match((await client.get("mine:a"))!, /^\d{16} \d+(\.\d+)?$/);
    await pause(ttl + 10);
    assert.equal(await client.exists("mine:a"), 0);
  });

  test("a look and a refusal leave none behind", async (t) => {
    const client = await inspector(t);
    const limiter = await connected(t, { limit: 1, prefix: "look:" });
    await limiter.take("a", 0);
    assert.equal(await client.exists("look:a"), 0);
    await limiter.take("a");
    const then = await client.get("look:a");
    assert.equal((await limiter.take("a")).allowed, false);
    assert.equal(await client.get("look:a"), then);
  });

  test("a server whose clock was set back, as after a failover, neither blocks a key nor forgives it", async (t) => {
    const client = await inspector(t);
    // One unit a second: a machine that stands still for less gives none back.
    const limiter = await connected(t, { limit: 1, burst: 5, prefix: "back:" });
    for (let i = 0; i < 5; i++) await limiter.take("a");
    // As if written an hour from now.
    const [at, debt] = (await client.get("back:a"))!.split(" ");
    await client.set("back:a", `${BigInt(at!) + 3_600_000_000n} ${debt}`);
    const { allowed, retryAfterMs } = await limiter.take("a");
    assert.equal(allowed, false);
    assert.ok(retryAfterMs <= 1000.1, `${retryAfterMs}`);
    await pause(retryAfterMs);
    assert.equal((await limiter.take("a")).allowed, true);
  });

  test("a unit that does not divide is exact over many: no half units early, none lost", async (t) => {
    const limiter = await connected(t, { limit: 3, windowMs: 1_000_000_000, burst: 3000, prefix: "thirds:" });
    for (let i = 0; i < 3000; i++) {
      const { allowed, remaining } = await limiter.take("a");
      assert.deepEqual([allowed, remaining], [true, 2999 - i]);
    }
    assert.equal((await limiter.take("a")).allowed, false);
    assert.equal((await limiter.take("a", 0.5)).allowed, false);
  });

  test("what is no limiter's key counts as lost Redis, not as an answer", async (t) => {
    const client = await inspector(t);
    await client.hSet("bad:a", "field", "value");
    const limiter = await connected(t, { prefix: "bad:", onLoss: "closed" });
    assert.equal((await limiter.take("a")).allowed, false);
    assert.match(String(limiter.lastError), /WRONGTYPE/);
    assert.equal((await limiter.take("b")).allowed, true);
  });
});

test("the script is sent in full once, and again after Redis has forgotten it", { skip }, async (t) => {
  const client = await inspector(t);
  await client.scriptFlush();
  const calls: string[] = [];
  const watched: RedisScripts = {
    isReady: true,
    evalSha: (...args) => (calls.push("evalSha"), client.evalSha(...args)),
    eval: (...args) => (calls.push("eval"), client.eval(...args)),
  };
  const limiter = redisRateLimiter({ client: watched, limit: 10, prefix: "script:", timeoutMs: PATIENT_MS });
  for (let i = 0; i < 3; i++) assert.equal((await limiter.take("a")).remaining >= 7, true);
  await client.scriptFlush();
  await limiter.take("a");
  assert.deepEqual(calls, ["evalSha", "eval", "evalSha", "evalSha", "evalSha", "eval"]);
  await limiter.close();
  assert.equal(await client.ping(), "PONG", "a client that was given is not closed");
});

test("8 processes on one key at ten times the limit: together they admit the limit, in every interval", {
  skip,
}, async (t) => {
  const seconds = 4;
  const asking: Asking = {
    url: redis.url,
    limit: 100,
    burst: 10,
    perSecond: 125,
    forMs: seconds * 1000,
    atMs: systemClock.epoch() + 3_000,
  };
  const file = join(import.meta.dirname, "test-fixtures/asking-process.ts");
  const run = async (): Promise<Asked> => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--conditions=@flotilla/source",
      file,
      JSON.stringify(asking),
    ]);
    return JSON.parse(stdout) as Asked;
  };
  const results = await Promise.all(Array.from({ length: 8 }, run));
  assert.equal(
    results.reduce((sum, { withoutRedis }) => sum + withoutRedis, 0),
    0,
  );
  const admitted = results.flatMap((result) => result.admitted).sort(([, a], [, b]) => a - b);
  const asked = results.reduce((sum, result) => sum + result.asked, 0);
  assert.ok(asked > 5 * seconds * 100, `${asked} requests are no tenfold demand`);
  // Redis decided at some moment between question and answer: what certainly lies within an interval is bounded by it.
  let most = 0;
  for (const [from] of admitted) {
    const within = admitted.filter(([askedMs, answeredMs]) => askedMs >= from && answeredMs <= from + 1000).length;
    most = Math.max(most, within);
  }
  t.diagnostic(`${asked} asked, ${admitted.length} admitted in ${seconds} s, at most ${most} in a second`);
  assert.ok(most <= 110, `${most} in a second`);
  const span = admitted.at(-1)![1] - Math.min(...admitted.map(([askedMs]) => askedMs));
  assert.ok(admitted.length <= 10 + span / 10 + 1, `${admitted.length} in ${span} ms`);
  assert.ok(admitted.length >= seconds * 100 - 10, `${admitted.length}`);
});

describe("the loss of Redis", { skip }, () => {
  /** Takes at an even rate until it is stopped; milliseconds of each. */
  const load = (limiter: RedisRateLimiter, perSecond: number) => {
    const latencies: number[] = [];
    const state = { going: true };
    const work = (async () => {
      const pending: Promise<void>[] = [];
      const start = systemClock.now();
      while (state.going) {
        while (pending.length < ((systemClock.now() - start) * perSecond) / 1000) {
          const askedMs = systemClock.now();
          pending.push(
            (async () => {
              await limiter.take(`key ${pending.length % 50}`);
              latencies.push(systemClock.now() - askedMs);
            })(),
          );
        }
        await pause(2);
      }
      await Promise.all(pending);
    })();
    return {
      latencies,
      stop: async () => {
        state.going = false;
        await work;
      },
    };
  };
  const p99 = (latencies: readonly number[]): number =>
    latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)]!;

  test("Redis is killed: decisions go on at once, and Redis makes them again when it is back", async (t) => {
    const first = await startRedis();
    t.after(() => first.server.stop());
    const changes: string[] = [];
    const limiter = await connected(
      t,
      { limit: 1000, timeoutMs: 10, onChange: (state) => void changes.push(state) },
      first.url,
    );
    await limiter.take("warm");
    const { latencies, stop } = load(limiter, 500);
    t.after(stop);
    await until("Redis decides", () => latencies.length > 100);
    const before = latencies.length;
    process.kill(first.server.pid, "SIGKILL");
    await until("Redis is lost", () => limiter.state === "lost");
    await until("decisions go on", () => latencies.length > before + 500);
    const during = latencies.slice(before);
    t.diagnostic(`p99 of ${during.length} decisions without Redis: ${p99(during).toFixed(2)} ms`);
    assert.ok(p99(during) < 5, `${p99(during)} ms`);
    assert.ok(limiter.withoutRedis >= 490);

    const second = await startRedis(first.port);
    t.after(() => second.server.stop());
    const restarted = systemClock.now();
    await until("Redis decides again", () => limiter.state === "connected", 10_000);
    const back = systemClock.now() - restarted;
    t.diagnostic(`decides again after ${back.toFixed(0)} ms`);
    assert.ok(back < 4_000, `${back} ms`);
    const { withoutRedis } = limiter;
    const then = latencies.length;
    await until("Redis decides", () => latencies.length > then + 100);
    assert.ok(limiter.withoutRedis - withoutRedis <= 5);
    await stop();
    assert.equal(changes.at(-1), "connected");
    assert.ok(changes.includes("lost"));
  });

  test("Redis hangs: few calls wait, and none longer than they may", async (t) => {
    const own = await startRedis();
    t.after(() => own.server.stop());
    t.after(() => own.server.signal("SIGCONT"));
    const limiter = await connected(t, { limit: 1000, timeoutMs: 10 }, own.url);
    const { latencies, stop } = load(limiter, 500);
    t.after(stop);
    await until("Redis decides", () => latencies.length > 100);
    own.server.signal("SIGSTOP");
    const before = latencies.length;
    await until("Redis is lost", () => limiter.state === "lost");
    await until("decisions go on", () => latencies.length > before + 1000);
    const during = latencies.slice(before);
    const slow = during.filter((ms) => ms > 5).length;
    t.diagnostic(`${slow} of ${during.length} took more than 5 ms, the longest ${Math.max(...during).toFixed(1)} ms`);
    assert.ok(slow <= 30, `${slow} waited`);
    assert.ok(p99(during) < 20);
    own.server.signal("SIGCONT");
    await until("Redis decides again", () => limiter.state === "connected", 10_000);
    await stop();
  });
});

test("a limiter whose Redis is not there yet decides, connects, and closes without a trace", { skip }, async (t) => {
  const early = redisRateLimiter({ url: `redis://127.0.0.1:${redis.port}`, limit: 10, onLoss: "open" });
  t.after(() => early.close());
  assert.equal(early.state, "lost");
  assert.ok(!(early.take("a") instanceof Promise));
  await until("it is connected", () => early.state === "connected");
  await early.close();
  await early.close();
  assert.equal(early.state, "lost");
  assert.equal((await early.take("a")).allowed, true);
});

test("a cluster may hold the keys", { skip }, async (t) => {
  const own = await startRedis(undefined, ["--cluster-enabled", "yes"]);
  t.after(() => own.server.stop());
  const node = await inspector(t, own.url);
  await node.clusterAddSlotsRange({ start: 0, end: 16_383 });
  const cluster = createCluster({ rootNodes: [{ url: own.url }] });
  cluster.on("error", () => {});
  let up = false;
  for (const end = systemClock.now() + 10_000; !up && systemClock.now() < end; ) {
    up = (await node.clusterInfo()).includes("cluster_state:ok");
    if (!up) await pause(20);
  }
  await cluster.connect();
  t.after(() => cluster.destroy());
  const limiter = redisRateLimiter({ client: cluster, limit: 10, burst: 2, timeoutMs: PATIENT_MS });
  for (const key of ["a", "b", "{a}b", "c d"]) {
    const taken = [];
    for (let i = 0; i < 3; i++) taken.push((await limiter.take(key)).allowed);
    assert.deepEqual(taken, [true, true, false], key);
  }
  assert.equal(limiter.withoutRedis, 0);
});
