import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Ejected } from "../balance/ejection.ts";
import { peakEwma } from "../balance/peak-ewma.ts";
import { zoneAware } from "../balance/zone-aware.ts";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { afterFunc, background, withCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { clientStream, serverStream, unary } from "../contract/method.ts";
import type { Instance } from "../endpoint/instance.ts";
import { ServiceError } from "../errors/service-error.ts";
import { OVERLOADED, refusal } from "../resilience/refusal.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf, readAll } from "../testing/transport-bed.ts";
import { type ChannelOptions, channel, client } from "./channel.ts";
import { FakeConnector } from "./test-fixtures/fake-connector.ts";

const message = z.object({ n: z.number() });
const Calc = contract("calc.v1.Calc", {
  get: unary({ input: message, output: message, idempotent: true }),
  watch: serverStream({ input: message, output: message }),
  load: clientStream({ input: message, output: message }),
});
const one = { n: 1 };
const HOUR_MS = 3_600_000;

/** Until the context is done. */
const end = (ctx: Context): Promise<never> => new Promise((_, reject) => void afterFunc(ctx, () => reject(ctx.err!)));

function bed(instances: readonly (string | Instance)[], options: Partial<ChannelOptions> = {}) {
  const clock = new VirtualClock();
  const registry = new TestRegistry();
  registry.set(Calc.name, instances);
  const transport = new FakeConnector();
  const way = channel({ discover: registry, transport, clock, random: seededRandom(7), retry: false, ...options });
  const calc = client(Calc, way);
  const ctx = background(clock);
  /** How many of so many single calls go to each address. */
  const spread = async (count: number): Promise<Record<string, number>> => {
    const before = transport.calls;
    for (let i = 0; i < count; i++) {
      const call = calc.get(ctx, one).catch(() => {});
      await clock.run(10);
      await call;
    }
    return Object.fromEntries(Object.entries(transport.calls).map(([at, n]) => [at, n - (before[at] ?? 0)]));
  };
  return { clock, ctx, transport, way, calc, spread };
}

/** Answers single calls after a while, streams as is told, and what streams to the server after an hour. */
function answering(clock: VirtualClock, watch: (address: string, ctx: Context) => AsyncIterable<unknown>) {
  return (address: string, ctx: Context, request: unknown): unknown => {
    if (Symbol.asyncIterator in (request as object)) {
      return new Promise((resolve) => void clock.schedule(HOUR_MS, () => resolve(one)));
    }
    if ((request as { n: number }).n === 2) return watch(address, ctx);
    return new Promise((resolve) => void clock.schedule(5, () => resolve(one)));
  };
}

describe("what balancers learn of streams", () => {
  test("peakEwma: one that lasts for an hour is not slow, whichever side streams", async () => {
    const { clock, ctx, transport, calc, spread } = bed(["fake://a", "fake://b"], { balance: peakEwma() });
    transport.answer = answering(clock, async function* (_address, inner) {
      yield one;
      await end(inner);
    });
    await spread(10);
    const scope = withTimeout(ctx, HOUR_MS);
    const watched = failureOf(readAll(calc.watch(scope, { n: 2 })));
    const loaded = calc.load(ctx, (async function* () {})());
    await clock.run(HOUR_MS);
    assert.equal((await watched).code, "deadline_exceeded");
    await loaded;
    const { "fake://a": a = 0, "fake://b": b = 0 } = await spread(100);
    assert.ok(a > 30 && b > 30, `${a} and ${b} calls`);
  });

  test("peakEwma: an instance of which nothing is known but that it has a stream gets calls", async () => {
    const { clock, ctx, transport, calc, spread } = bed(["fake://a", "fake://b"], {
      balance: peakEwma(),
      slowStart: false,
    });
    transport.answer = answering(clock, async function* (_address, inner) {
      yield one;
      await end(inner);
    });
    const scope = withCancel(ctx);
    const watched = failureOf(readAll(calc.watch(scope, { n: 2 })));
    await clock.run(1);
    const watching = Object.keys(transport.calls).find((at) => transport.calls[at] === 1)!;
    const calls = await spread(3000);
    assert.ok(calls[watching]! > 2, JSON.stringify(calls));
    scope.cancel();
    await clock.run(1);
    await watched;
  });

  test("zoneAware: streams in the zone of the caller do not look like a zone that has too much to do", async () => {
    const zones = ["near", "far"].flatMap((zone) => {
      return Array.from({ length: 3 }, (_, i) => ({ id: `${zone}${i}`, address: `fake://${zone}${i}`, zone }));
    });
    const { clock, ctx, transport, calc, spread } = bed(zones, {
      balance: (deps) => zoneAware({ zone: "near" }, peakEwma())(deps),
    });
    transport.answer = answering(clock, async function* (address) {
      yield one;
      if (address.startsWith("fake://near"))
        await new Promise<void>((resolve) => void clock.schedule(HOUR_MS, resolve));
    });
    await spread(3000);
    const watched = Promise.all(Array.from({ length: 30 }, () => readAll(calc.watch(ctx, { n: 2 }))));
    await clock.run(HOUR_MS + 1);
    await watched;
    const calls = Object.entries(await spread(1000));
    const near = calls.filter(([at]) => at.startsWith("fake://near")).reduce((sum, [, n]) => sum + n, 0);
    assert.ok(near > 850, `${near} of 1000 calls stay`);
  });
});

describe("streams and instances that fail", () => {
  test("that callers give their streams no more time puts no instance out of the balance", async () => {
    const out: Ejected[] = [];
    const ejection = { onEject: (ejected: Ejected) => void out.push(ejected) };
    const { clock, ctx, transport, calc, spread, way } = bed(["fake://a", "fake://b"], { ejection });
    transport.answer = answering(clock, async function* (address, inner) {
      yield one;
      // At the other one, streams end before.
      if (address === "fake://a") await end(inner);
    });
    const streams: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i++)
      streams.push(readAll(calc.watch(withTimeout(ctx, 60_000 + i * 200), { n: 2 })).catch(() => {}));
    await clock.run(120_000);
    await Promise.all(streams);
    assert.deepEqual(out, []);
    const { "fake://a": a = 0, "fake://b": b = 0 } = await spread(50);
    assert.ok(a > 10 && b > 10, `${a} and ${b} calls`);
    await way.close();
  });

  test("one that is out is back when a stream has begun there, if the others have too much to do", async () => {
    const back: string[] = [];
    const { clock, ctx, transport, calc, spread } = bed(["fake://a", "fake://b"], {
      throttle: false,
      ejection: { onReturn: ({ address }) => void back.push(address) },
    });
    let broken = true;
    transport.answer = (address, inner, request) => {
      if (address === "fake://b") {
        if (broken) return request;
        throw refusal("unavailable", OVERLOADED, "overloaded", {});
      }
      if (broken) throw new ServiceError("internal", "broken");
      if ((request as { n: number }).n === 1) return request;
      return (async function* () {
        yield one;
        await end(inner);
      })();
    };
    await spread(40);
    broken = false;
    const scope = withCancel(ctx);
    const streams: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      streams.push(failureOf(readAll(calc.watch(scope, { n: 2 }))));
      await clock.run(100);
    }
    assert.deepEqual(back, ["fake://a"]);
    scope.cancel();
    await clock.run(1);
    await Promise.all(streams);
  });

  test("an instance that has not answered for long is asked again, though it has a stream", async () => {
    const { clock, ctx, transport, calc, spread } = bed(["fake://a", "fake://b"], { timeoutMs: 500, ejection: false });
    let parted = false;
    const answer = answering(clock, async function* (_address, inner) {
      yield one;
      await end(inner);
    });
    transport.answer = (address, inner, request) =>
      parted && address === "fake://a" ? end(inner) : answer(address, inner, request);
    const scope = withCancel(ctx);
    const streams = Array.from({ length: 4 }, () => failureOf(readAll(calc.watch(scope, { n: 2 }))));
    await clock.run(1);
    parted = true;
    const calls = Array.from({ length: 100 }, async (_, i) => {
      await new Promise<void>((resolve) => void clock.schedule(i * 50, resolve));
      await calc.get(ctx, one).catch(() => {});
    });
    await clock.run(10_000);
    await Promise.all(calls);
    parted = false;
    await spread(1000);
    const { "fake://a": a = 0 } = await spread(100);
    assert.ok(a > 30, `${a} calls of 100`);
    scope.cancel();
    await clock.run(1);
    await Promise.all(streams);
  });
});
