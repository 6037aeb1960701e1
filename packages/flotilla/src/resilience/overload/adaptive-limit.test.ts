import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { adaptiveLimit } from "./adaptive-limit.ts";

/** A server of so many cores, asked for more than it can do all the time: first in, first out, nothing left to chance. */
function saturated(options: Parameters<typeof adaptiveLimit>[0] = {}) {
  const clock = new VirtualClock();
  const limit = adaptiveLimit(options)(clock);
  const kind = limit.kind();
  const server = { cores: 1, serviceMs: 10 };
  const inside: { readonly sinceMs: number; readonly found: number }[] = [];
  /** Goes on for so many calls; what the limit was at the end of each. */
  const go = async (calls: number): Promise<number[]> => {
    const limits: number[] = [];
    for (let i = 0; i < calls; i++) {
      while (inside.length < limit.current) inside.push({ sinceMs: clock.now(), found: ++kind.inFlight });
      limit.pressed(clock.now());
      await clock.advance(server.serviceMs / Math.min(server.cores, inside.length));
      const { sinceMs, found } = inside.shift()!;
      const durationMs = Math.max(server.serviceMs, clock.now() - sinceMs);
      limit.ended(clock.now(), durationMs, found, found, kind, false);
      kind.inFlight--;
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
      const { go, server } = saturated();
      server.cores = cores;
      await go(6000);
      const settled = mean(await go(20_000));
      assert.ok(settled >= low && settled <= high, `the limit is ${settled} on average`);
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

test("at ease the limit holds back nobody, whatever calls take", async () => {
  const { limit, clock } = saturated();
  const kind = limit.kind();
  for (let i = 0; i < 600; i++) {
    await clock.advance(50);
    kind.inFlight = 7;
    limit.ended(clock.now(), i < 300 ? 10 : 35, 7, 7, kind, false);
    assert.ok(limit.current > 7, `the limit is ${limit.current}`);
  }
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
