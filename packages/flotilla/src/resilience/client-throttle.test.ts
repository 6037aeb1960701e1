import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { findDetail } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { priorities, priorityOf, withPriority } from "../metadata/priority.ts";
import { type ClientThrottleOptions, clientThrottle } from "./client-throttle.ts";
import { rateLimit } from "./rate-limit/rate-limit.ts";

const io = { input: z.object({}), output: z.object({}) };
const method = contract("a.B", { one: unary(io) }).methods[0]!;

/** A service that accepts a share of the calls, called evenly. */
function bed(options: ClientThrottleOptions = {}) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const random = seededRandom(4);
  const throttle = clientThrottle({ clock, random: seededRandom(5), ...options });
  const service = {
    accepts: 1,
    code: "unavailable" as ConstructorParameters<typeof ServiceError>[0],
    afterMs: 10 as number | undefined,
  };
  const endpoint: Endpoint = async () => {
    if (random.next() < service.accepts) return "ok";
    throw new ServiceError(
      service.code,
      "refused",
      service.afterMs === undefined ? {} : { retry: { afterMs: service.afterMs } },
    );
  };
  const call = throttle(endpoint, method);
  /** Calls for so long: how many there were, were sent, and were served. */
  const go = async (ms: number, perSecond = 100) => {
    const counts = { calls: 0, sent: 0, served: 0 };
    const end = clock.now() + ms;
    while (clock.now() < end) {
      counts.calls++;
      const outcome = await call(ctx, {}).catch((error: unknown) => error as ServiceError);
      const held = outcome instanceof ServiceError && findDetail(outcome, "google.rpc.ErrorInfo") !== undefined;
      if (!held) counts.sent++;
      if (outcome === "ok") counts.served++;
      await clock.run(1000 / perSecond);
    }
    return counts;
  };
  return { clock, ctx, throttle, service, call, go };
}

describe("what is held back", () => {
  test("nothing while most is accepted", async () => {
    const { go, service } = bed();
    service.accepts = 0.6;
    const { calls, sent } = await go(60_000);
    assert.equal(sent, calls);
  });

  test("of a service that refuses everything, all but a tenth", async () => {
    const { go, service, throttle } = bed();
    service.accepts = 0;
    await go(30_000);
    const { calls, sent } = await go(30_000);
    assert.ok(sent > calls * 0.07 && sent < calls * 0.13, `${sent} of ${calls} were sent`);
    const { refusing, refused } = throttle.services.find(({ priority }) => priority === "default")!;
    assert.ok(refusing >= 0.9);
    assert.ok(refused > 3000);
  });

  test("nothing of what matters more than what the service refuses", async () => {
    const clock = new VirtualClock();
    const ctx = background(clock);
    const throttle = clientThrottle({ clock, random: seededRandom(3) });
    // What is critical is served, of the others one call in ten, as an overloaded server has it.
    const random = seededRandom(4);
    const call = throttle(async (callCtx: Context) => {
      if (priorityOf(callCtx) === "critical" || random.next() < 0.1) return "ok";
      throw new ServiceError("unavailable", "overloaded", { retry: { afterMs: 10 } });
    }, method);
    const failed = { critical: 0, default: 0, sheddable: 0 };
    for (let i = 0; i < 3000; i++) {
      for (const priority of priorities) await call(withPriority(ctx, priority), {}).catch(() => failed[priority]++);
      await clock.run(5);
    }
    assert.equal(failed.critical, 0);
    const held = Object.fromEntries(throttle.services.map(({ priority, refused }) => [priority, refused]));
    assert.equal(held["critical"], 0);
    assert.ok(held["default"]! > 1500 && held["sheddable"]! > 1500, JSON.stringify(held));
  });

  test("of one with a fixed capacity so much that it is asked for about twice what it can do, and does it", async () => {
    const { clock, ctx, throttle } = bed();
    // Twenty calls a second; more are refused.
    let left = 0;
    let sent = 0;
    const call = throttle<unknown, unknown>(
      async () => {
        sent++;
        if (left-- > 0) return "ok";
        throw new ServiceError("resource_exhausted", "no more this second");
      },
      contract("c.D", { one: unary(io) }).methods[0]!,
    );
    let served = 0;
    for (let second = 0; second < 60; second++) {
      left = 20;
      if (second === 30) sent = served = 0;
      for (let i = 0; i < 100; i++) {
        await call(ctx, {}).then(
          () => served++,
          () => {},
        );
        await clock.run(10);
      }
    }
    assert.ok(served >= 0.9 * 20 * 30, `${served} of 600 were served`);
    assert.ok(sent <= 2.5 * 20 * 30, `${sent} were sent for ${served} served`);
  });

  test("nothing of a service that fails at random: fewer calls would fail as often", async () => {
    const { go, service } = bed();
    service.accepts = 0.2;
    service.afterMs = undefined;
    const { calls, sent } = await go(60_000);
    assert.equal(sent, calls);
  });

  test("nothing for the quota of one caller: the others are not to be held back for it", async () => {
    const { throttle, ctx } = bed();
    const limited = rateLimit({ perSecond: 1, clock: new VirtualClock() })<unknown, unknown>(async () => "ok", method);
    let sent = 0;
    const call = throttle<unknown, unknown>((inner, request) => {
      sent++;
      return limited(inner, request);
    }, method);
    for (let i = 0; i < 500; i++) await call(ctx, {}).catch(() => {});
    assert.equal(sent, 500);
  });

  test("nothing for being on its way: a thousand calls at once are all sent", async () => {
    const { throttle, ctx } = bed();
    let sent = 0;
    const call = throttle<unknown, unknown>(() => {
      sent++;
      return new Promise(() => {});
    }, method);
    for (let i = 0; i < 1000; i++) void call(ctx, {});
    assert.equal(sent, 1000);
  });

  test("nothing of a quiet client", async () => {
    const { go, service } = bed();
    service.accepts = 0;
    const { calls, sent } = await go(60_000, 1);
    assert.equal(sent, calls);
  });

  test("errors that the service answered with count as accepted", async () => {
    for (const code of ["internal", "not_found", "deadline_exceeded"] as const) {
      const { go, service } = bed();
      service.accepts = 0;
      service.code = code;
      const { calls, sent } = await go(10_000);
      assert.equal(sent, calls);
    }
  });
});

test("after an outage of two minutes all is sent again in some 5 s", async () => {
  const { go, service } = bed();
  await go(30_000);
  service.accepts = 0;
  await go(120_000);
  service.accepts = 1;
  await go(5000);
  const { calls, served } = await go(10_000);
  assert.ok(served >= calls * 0.95, `${served} of ${calls} were served`);
});

test("how much was asked in an overload is soon forgotten: what is asked afterwards is sent", async () => {
  const { go, service } = bed();
  service.accepts = 0.05;
  await go(60_000, 1000);
  service.accepts = 1;
  await go(5000, 50);
  const { calls, sent } = await go(5000, 50);
  assert.ok(sent >= calls * 0.95, `${sent} of ${calls} were sent`);
});

test("a refusal says so, and is not to be tried again", async () => {
  const { go, service, call, ctx } = bed();
  service.accepts = 0;
  await go(30_000);
  let error: ServiceError | undefined;
  for (let i = 0; i < 100 && error?.retry?.never !== true; i++) {
    error = (await call(ctx, {}).catch((thrown: unknown) => thrown)) as ServiceError;
  }
  assert.match(error!.message, /a\.B refuses most calls: 90 % are not even sent/);
  assert.deepEqual(findDetail(error!, "google.rpc.ErrorInfo"), { reason: "CLIENT_THROTTLED", domain: "flotilla.dev" });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => clientThrottle({ ratio: 1 }), /clientThrottle: ratio/);
  assert.throws(() => clientThrottle({ windowMs: 0 }), /clientThrottle: windowMs/);
  assert.throws(() => clientThrottle({ maxRefusing: 1 }), /clientThrottle: maxRefusing/);
  assert.throws(() => clientThrottle({ floor: -1 }), /clientThrottle: floor/);
});
