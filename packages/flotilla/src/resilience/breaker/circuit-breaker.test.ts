import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { type Random, seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc, background, withCancel, withTimeout } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { clientStream, serverStream, unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { RATE_LIMITED } from "../rate-limit/rate-limit.ts";
import { DEADLINE_TOO_NEAR, OVERLOADED, refusal } from "../refusal.ts";
import type { BreakerState } from "./breaker.ts";
import { type CircuitBreakerOptions, circuitBreaker } from "./circuit-breaker.ts";
import { consecutive, countWindow, timeWindow } from "./trip.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { one: unary(io), two: unary(io), many: serverStream(io), load: clientStream(io) });
const [one, two, many, load] = methods as [MethodInfo, MethodInfo, MethodInfo, MethodInfo];

/** Exactly the opening time, neither half nor one and a half. */
const exact: Random = { next: () => 0.5 };

function bed(options: CircuitBreakerOptions = {}) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const changes: BreakerState[] = [];
  const breaker = circuitBreaker({ clock, random: exact, onChange: (state) => changes.push(state), ...options });
  let reached = 0;
  const endpoint: Endpoint<() => Promise<unknown>> = (_ctx, act) => {
    reached++;
    return act();
  };
  const call = breaker(endpoint, one);
  const ok = (): Promise<unknown> => call(ctx, async () => "ok");
  const fail = (code: ConstructorParameters<typeof ServiceError>[0] = "unavailable"): Promise<ServiceError> =>
    call(ctx, async () => {
      throw new ServiceError(code, "failed");
    }).then(
      () => assert.fail("it did not fail"),
      (error: unknown) => error as ServiceError,
    );
  /** A call that goes well, after so many milliseconds. */
  const slow = async (ms: number): Promise<void> => {
    const pending = call(ctx, () => new Promise((resolve) => void clock.schedule(ms, () => resolve("ok"))));
    await clock.advance(ms);
    await pending;
  };
  return {
    clock,
    ctx,
    breaker,
    call,
    ok,
    fail,
    slow,
    changes,
    reached: () => reached,
    state: () => breaker.breakers[0]!,
  };
}

describe("opening", () => {
  test("after so many failures in a row, and not before", async () => {
    const { ok, fail, state, reached, clock } = bed();
    for (let i = 0; i < 4; i++) await fail();
    await ok();
    for (let i = 0; i < 4; i++) await fail();
    assert.equal(state().state, "closed");
    await fail();
    assert.deepEqual(state(), {
      name: "a.B/one",
      state: "open",
      reason: "5 calls in a row failed",
      nextProbeMs: 5000,
      openings: 1,
      refused: 0,
    });
    const before = reached();
    const refused = await fail();
    assert.equal(reached(), before);
    assert.equal(refused.code, "unavailable");
    assert.equal(refused.message, "the circuit of a.B/one is open: 5 calls in a row failed; next probe in 5000 ms");
    assert.deepEqual(findDetail(refused, "google.rpc.ErrorInfo"), { reason: "CIRCUIT_OPEN", domain: "flotilla.dev" });
    assert.equal(refused.retry?.unprocessed, true);
    assert.equal(state().refused, 1);
    assert.equal(clock.pending, 0);
  });

  test("what the caller did wrong is no failure, and ends a row; who gives up does neither", async () => {
    const { fail, state } = bed({ trip: consecutive(2) });
    for (let i = 0; i < 10; i++) await fail("invalid_argument");
    await fail();
    await fail("not_found");
    await fail();
    assert.equal(state().state, "closed");
    await fail("canceled");
    await fail("deadline_exceeded");
    assert.equal(state().state, "open");
  });

  test("what is refused because it is overloaded, over a quota or out of time tells nothing", async () => {
    const { call, ctx, fail, state } = bed();
    const refuse = (reason: string): Promise<unknown> =>
      call(ctx, async () => {
        throw refusal("unavailable", reason, "not now", {});
      }).catch(() => {});
    for (const reason of [OVERLOADED, RATE_LIMITED, DEADLINE_TOO_NEAR]) {
      for (let i = 0; i < 20; i++) await refuse(reason);
      assert.equal(state().state, "closed", reason);
    }
    for (let i = 0; i < 4; i++) await fail();
    await refuse(OVERLOADED);
    assert.equal(state().state, "closed");
    await fail();
    assert.equal(state().state, "open", "they end no row either");
  });

  test("by count: the share of the last calls, once there are enough", async () => {
    const { ok, fail, state } = bed({ trip: countWindow({ calls: 10, minCalls: 5, failureRate: 0.5 }) });
    await fail();
    await fail();
    await fail();
    await ok();
    assert.equal(state().state, "closed");
    await ok();
    assert.equal(state().state, "open");
    assert.equal(state().reason, "3 of the last 5 calls failed");
  });

  test("by count: what is older than the window counts no more", async () => {
    const { ok, fail, state } = bed({ trip: countWindow({ calls: 10, minCalls: 10, failureRate: 0.5 }) });
    for (let i = 0; i < 4; i++) await fail();
    for (let i = 0; i < 10; i++) await ok();
    for (let i = 0; i < 4; i++) await fail();
    assert.equal(state().state, "closed");
    await fail();
    assert.equal(state().state, "open");
  });

  test("by time: 200 failures of an hour ago are forgotten, however few calls came since", async () => {
    const { ok, fail, state, clock } = bed({ trip: timeWindow({ windowMs: 10_000, minCalls: 201 }) });
    for (let i = 0; i < 200; i++) await fail();
    await clock.advance(3_600_000);
    await fail();
    assert.equal(state().state, "closed");
    for (let i = 0; i < 100; i++) await ok();
    for (let i = 0; i < 99; i++) await fail();
    assert.equal(state().state, "closed");
    await fail();
    assert.equal(state().state, "open");
    assert.equal(state().reason, "101 of the 201 calls of the last 10000 ms failed");
  });

  test("by time: the window slides on in tenths, so that calls go out of it one after the other", async () => {
    const { ok, fail, state, clock } = bed({ trip: timeWindow({ windowMs: 1000, minCalls: 10, failureRate: 0.55 }) });
    // One a tenth: of those that count at the end one in two has failed, of all since the beginning more.
    for (let i = 0; i < 10; i++) {
      await (i < 5 ? fail() : ok());
      await clock.advance(100);
    }
    for (let i = 0; i < 5; i++) {
      await fail();
      assert.equal(state().state, "closed", `5 of 10 after ${i} more`);
      await clock.advance(100);
    }
    await fail();
    assert.equal(state().reason, "6 of the 10 calls of the last 1000 ms failed");
  });

  test("by slowness, of the last calls or those of the last while", async () => {
    for (const [trip, last] of [
      [countWindow({ calls: 4, slowRate: 0.75, slowMs: 100 }), "last 4 calls"],
      [timeWindow({ minCalls: 4, slowRate: 0.75, slowMs: 100 }), "4 calls of the last 10000 ms"],
    ] as const) {
      const { slow, state } = bed({ trip });
      for (const ms of [150, 10, 100, 200]) {
        assert.equal(state().state, "closed");
        await slow(ms);
      }
      assert.equal(state().state, "open");
      assert.equal(state().reason, `3 of the ${last} took 100 ms or more`);
    }
  });

  test("the first failure of all does not open a window", async () => {
    const { fail, state } = bed({ trip: timeWindow() });
    for (let i = 0; i < 19; i++) await fail();
    assert.equal(state().state, "closed");
  });
});

describe("half open", () => {
  test("one probe at a time; the others are refused at once", async () => {
    const { clock, ctx, call, fail, ok, state, changes } = bed({ trip: consecutive(1) });
    await fail();
    await clock.advance(4999);
    assert.match((await fail()).message, /next probe in 1 ms/);
    await clock.advance(1);
    let end!: (value: unknown) => void;
    const probe = call(ctx, () => new Promise((resolve) => (end = resolve)));
    assert.equal(state().state, "half_open");
    assert.match((await fail()).message, /a probe is under way/);
    end("ok");
    await probe;
    assert.equal(state().state, "closed");
    assert.equal(state().nextProbeMs, undefined);
    await ok();
    assert.deepEqual(
      changes.map((change) => change.state),
      ["open", "half_open", "closed"],
    );
  });

  test("a probe that fails opens it for twice as long, up to the maximum; success starts anew", async () => {
    const { clock, fail, ok, state } = bed({ trip: consecutive(1), openMs: 100, maxOpenMs: 350 });
    await fail();
    for (const ms of [100, 200, 350, 350]) {
      assert.equal(state().nextProbeMs, ms);
      await clock.advance(ms);
      await fail();
    }
    await clock.advance(350);
    await ok();
    await fail();
    assert.equal(state().nextProbeMs, 100);
  });

  test("a probe that is slow opens it again where slowness does", async () => {
    const { clock, slow, state } = bed({ trip: countWindow({ calls: 2, slowMs: 100 }), openMs: 1000 });
    for (let i = 0; i < 2; i++) await slow(100);
    await clock.advance(1000);
    await slow(150);
    assert.equal(state().state, "open");
    assert.equal(state().reason, "a probe took 100 ms or more");
    assert.equal(state().nextProbeMs, 2000);
    await clock.advance(2000);
    await slow(99);
    assert.equal(state().state, "closed");
  });

  test("no more probes at a time than may", async () => {
    const { clock, ctx, call, fail, state, reached } = bed({ trip: consecutive(1), probes: 3 });
    await fail();
    await clock.advance(5000);
    const before = reached();
    const ends: ((value: unknown) => void)[] = [];
    const probes = Array.from({ length: 10 }, () =>
      call(ctx, () => new Promise((resolve) => ends.push(resolve))).catch((error: unknown) => error as ServiceError),
    );
    assert.equal(reached() - before, 3);
    assert.equal(state().refused, 7);
    for (const end of ends) end("ok");
    const outcomes = await Promise.all(probes);
    assert.equal(outcomes.filter((outcome) => outcome === "ok").length, 3);
    assert.equal(state().state, "closed");
  });

  test("as many probes must succeed as may go at a time", async () => {
    const { clock, fail, ok, state } = bed({ trip: consecutive(1), probes: 3 });
    await fail();
    await clock.advance(5000);
    await ok();
    await ok();
    assert.equal(state().state, "half_open");
    await ok();
    assert.equal(state().state, "closed");
  });

  test("a probe whose caller gives up makes room for another", async () => {
    const { clock, fail, ok, state } = bed({ trip: consecutive(1) });
    await fail();
    await clock.advance(5000);
    await fail("canceled");
    assert.equal(state().state, "half_open");
    await ok();
    assert.equal(state().state, "closed");
  });

  test("late news of an earlier state are thrown away", async () => {
    const { clock, ctx, call, fail, ok, state } = bed({ trip: consecutive(2) });
    let late!: (error: unknown) => void;
    const early = call(ctx, () => new Promise((_, reject) => (late = reject)));
    await fail();
    await fail();
    await clock.advance(5000);
    await ok();
    assert.equal(state().state, "closed");
    await fail();
    late(new ServiceError("unavailable", "from before"));
    await assert.rejects(early);
    assert.equal(state().state, "closed");
  });

  test("opening times differ by chance, from half to one and a half", async () => {
    const times = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const { fail, state } = bed({ trip: consecutive(1), random: seededRandom(seed) });
      await fail();
      const ms = state().nextProbeMs!;
      assert.ok(ms >= 2500 && ms < 7500);
      times.add(ms);
    }
    assert.ok(times.size > 40);
  });
});

describe("what it is around", () => {
  test("each method has its own, or all of a service share one", async () => {
    for (const [per, other] of [
      ["method", "closed"],
      ["service", "open"],
    ] as const) {
      const { breaker, fail, ctx } = bed({ trip: consecutive(1), per });
      const second = breaker<() => Promise<unknown>, unknown>((_ctx, act) => act(), two);
      await fail();
      const outcome = await second(ctx, async () => "ok").catch((error: unknown) => (error as ServiceError).code);
      assert.equal(outcome, other === "open" ? "unavailable" : "ok");
      assert.equal(breaker.breakers.length, per === "method" ? 2 : 1);
    }
  });

  test("a stream counts by how it ends", async () => {
    const { breaker, ctx, clock } = bed({ trip: consecutive(1) });
    const call = breaker<boolean, AsyncIterable<number>>(async function (_ctx, breaks) {
      return (async function* () {
        yield 1;
        if (breaks) throw new ServiceError("unavailable", "in the middle");
      })();
    }, many);
    const state = (): string => breaker.breakers.find(({ name }) => name === "a.B/many")!.state;
    for await (const _ of await call(ctx, false));
    for await (const _ of await call(ctx, true)) break;
    assert.equal(state(), "closed");
    await assert.rejects(async () => {
      for await (const _ of await call(ctx, true));
    }, /in the middle/);
    assert.equal(state(), "open");
    assert.equal(clock.pending, 0);
  });

  describe("a stream as a probe", () => {
    /** A circuit that is half open; `end` ends the streams. */
    async function halfOpen(options: CircuitBreakerOptions = {}) {
      const { breaker, ctx, clock } = bed({ trip: consecutive(1), ...options });
      let end!: (error?: ServiceError) => void;
      const ended = new Promise<void>((resolve, reject) => {
        end = (error) => (error === undefined ? resolve() : reject(error));
      });
      ended.catch(() => {});
      const call = breaker<"fails" | "hangs" | "begins", AsyncIterable<number>>(async function (inner, what) {
        if (what === "fails") throw new ServiceError("unavailable", "broken");
        if (what === "hangs") await new Promise((_, reject) => void afterFunc(inner, () => reject(inner.err!)));
        return (async function* () {
          yield 1;
          await ended;
        })();
      }, many);
      await assert.rejects(call(ctx, "fails"));
      await clock.advance(5000);
      return { ctx, clock, call, end, state: () => breaker.breakers.find(({ name }) => name === "a.B/many")! };
    }

    test("has succeeded when it has begun, though it lasts for hours and nobody reads it", async () => {
      const { ctx, call, state } = await halfOpen();
      await call(ctx, "begins");
      assert.equal(state().state, "closed");
    });

    test("that fails when it has begun opens the circuit while others are awaited, and counts for nothing afterwards", async () => {
      for (const probes of [1, 2]) {
        const { ctx, call, end, state } = await halfOpen({ probes });
        const stream = await call(ctx, "begins");
        end(new ServiceError("unavailable", "in the middle"));
        await assert.rejects(async () => {
          for await (const _ of stream);
        }, /in the middle/);
        assert.equal(state().state, probes === 1 ? "closed" : "open");
      }
    });

    test("counts once, and needs no second end", async () => {
      const { ctx, call, end, state } = await halfOpen({ probes: 2 });
      end();
      for await (const _ of await call(ctx, "begins"));
      assert.equal(state().state, "half_open");
      await call(ctx, "begins");
      assert.equal(state().state, "closed");
    });

    test("that does not begin gives its place back with the end of its call, and lets another one through after a while", async () => {
      const { ctx, clock, call, state } = await halfOpen();
      const scope = withCancel(ctx);
      const silent = [call(scope, "hangs")];
      await assert.rejects(call(ctx, "begins"), /a probe is under way/);
      assert.equal(state().nextProbeMs, 5000);
      await clock.advance(4999);
      await assert.rejects(call(ctx, "begins"), /a probe is under way/);
      await clock.advance(1);
      silent.push(call(scope, "hangs"));
      await assert.rejects(call(ctx, "begins"), /a probe is under way/);
      scope.cancel();
      for (const { status } of await Promise.allSettled(silent)) assert.equal(status, "rejected");
      assert.deepEqual([state().state, state().nextProbeMs], ["half_open", 0]);
      await call(ctx, "begins");
      assert.equal(state().state, "closed");
    });
  });

  test("that a stream's caller gave it no more time is no failure, and no stream is slow", async () => {
    const { breaker, ctx, clock } = bed({ trip: timeWindow({ minCalls: 1, slowMs: 100 }) });
    const serve = breaker<string, AsyncIterable<number>>(async function (inner) {
      return (async function* () {
        yield 1;
        await new Promise((_, reject) => void afterFunc(inner, () => reject(inner.err!)));
      })();
    }, many);
    const read = async (inner: Context): Promise<void> => {
      for await (const _ of await serve(inner, ""));
    };
    const late = assert.rejects(read(withTimeout(ctx, 3_600_000)), { code: "deadline_exceeded" });
    await clock.advance(3_600_000);
    await late;
    const upload = breaker<string, unknown>(() => new Promise((r) => void clock.schedule(3_600_000, () => r(1))), load);
    const uploaded = upload(ctx, "");
    await clock.advance(3_600_000);
    await uploaded;
    for (const { state, openings } of breaker.breakers) assert.deepEqual([state, openings], ["closed", 0]);
  });

  test("an endpoint that throws at once counts as well", async () => {
    const breaker = circuitBreaker({ trip: consecutive(1) });
    const call = breaker(() => {
      throw new Error("at once");
    }, one);
    assert.throws(() => call(background(), {}), /at once/);
    assert.equal(breaker.breakers[0]!.state, "open");
  });

  test("options that are not legal are refused, by name", () => {
    assert.throws(() => circuitBreaker({ openMs: 0 }), /circuitBreaker: openMs/);
    assert.throws(() => circuitBreaker({ openMs: 10, maxOpenMs: 5 }), /circuitBreaker: maxOpenMs/);
    assert.throws(() => circuitBreaker({ probes: 0 }), /circuitBreaker: probes/);
    assert.throws(
      () => circuitBreaker({ per: "host" as never }),
      /circuitBreaker: per must be "method" or "service", got "host"/,
    );
    assert.throws(() => consecutive(0), /consecutive: failures/);
    assert.throws(() => countWindow({ calls: 10, minCalls: 11 }), /countWindow: minCalls/);
    assert.throws(() => countWindow({ failureRate: 0 }), /countWindow: failureRate/);
    assert.throws(() => timeWindow({ windowMs: Infinity }), /timeWindow: windowMs/);
    assert.throws(() => timeWindow({ slowRate: 2 }), /timeWindow: slowRate/);
    assert.throws(() => timeWindow({ slowMs: -1 }), /timeWindow: slowMs/);
  });
});
