import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { adaptiveLimit } from "./adaptive-limit.ts";

/** A server of so many cores under more calls than it can do, with nothing left to chance: what a call takes follows from the limit. */
function saturated(options: Parameters<typeof adaptiveLimit>[0] = {}) {
  const clock = new VirtualClock();
  const limit = adaptiveLimit(options)(clock);
  const server = { cores: 1, serviceMs: 10 };
  /** Goes on for so many calls; what the limit was at the end of each. */
  const go = async (calls: number): Promise<number[]> => {
    const limits: number[] = [];
    for (let i = 0; i < calls; i++) {
      const { current } = limit;
      const durationMs = server.serviceMs * Math.max(1, current / server.cores);
      await clock.advance(durationMs / current);
      limit.pressed();
      limit.ended(clock.now(), durationMs, current);
      limits.push(limit.current);
    }
    return limits;
  };
  return { limit, server, go, clock };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe("under pressure from the first call on", () => {
  for (const [cores, low, high] of [
    [1, 1, 3],
    [4, 3.5, 9],
    [50, 45, 110],
  ] as const) {
    test(`${cores} cores: what is of use is found, and kept`, async () => {
      const { go, server, limit } = saturated();
      server.cores = cores;
      await go(6000);
      const settled = mean(await go(20_000));
      assert.ok(settled >= low && settled <= high, `the limit is ${settled} on average`);
      assert.ok(Math.abs(limit.unloadedMs! - 10) < 5, `unloaded calls are said to take ${limit.unloadedMs} ms`);
    });
  }

  test("calls that become slower in themselves are told from calls that wait", async () => {
    const { go, server } = saturated();
    server.cores = 20;
    await go(5000);
    server.serviceMs = 50;
    await go(5000);
    const settled = mean(await go(10_000));
    assert.ok(settled >= 15, `the limit has fallen to ${settled}`);
  });
});

describe("at ease", () => {
  test("the limit stays, and the norm follows what calls take", async () => {
    const { limit, clock } = saturated();
    for (let i = 0; i < 200; i++) {
      await clock.advance(50);
      limit.ended(clock.now(), 30, 1);
    }
    assert.equal(limit.current, 100);
    assert.equal(limit.unloadedMs, 30);
  });

  test("where calls take longer than they did it comes down, but holds back nobody yet", async () => {
    const { limit, clock } = saturated();
    for (let i = 0; i < 300; i++) {
      await clock.advance(50);
      limit.ended(clock.now(), i < 200 ? 10 : 35, 7);
    }
    assert.ok(limit.current > 7 && limit.current < 60, `the limit is ${limit.current}`);
    for (let i = 0; i < 400; i++) {
      await clock.run(1000 + 100 * i);
      limit.ended(clock.now(), 1000 + 100 * i, 7);
    }
    assert.equal(limit.current, 7);
  });

  test("calls that began before the limit was set count for nothing", async () => {
    const { limit, clock } = saturated();
    await clock.advance(10);
    for (let i = 0; i < 200; i++) limit.ended(clock.now(), 11, 1);
    assert.equal(limit.unloadedMs, undefined);
  });
});

test("bounds are kept", async () => {
  const few = saturated({ min: 5, initial: 8, max: 10 });
  for (const limit of await few.go(3000)) assert.ok(limit >= 5 && limit <= 10);
  few.server.cores = 1000;
  const limits = await few.go(3000);
  for (const limit of limits) assert.ok(limit >= 5 && limit <= 10);
  assert.equal(limits.at(-1), 10);
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => adaptiveLimit({ min: 0 }), /adaptiveLimit: min/);
  assert.throws(() => adaptiveLimit({ min: 5, max: 4 }), /adaptiveLimit: max/);
  assert.throws(() => adaptiveLimit({ initial: 2000 }), /adaptiveLimit: initial/);
  assert.throws(() => adaptiveLimit({ tolerance: 1 }), /adaptiveLimit: tolerance/);
});
