import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Random } from "../clock/random.ts";
import { pass } from "../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { sleep } from "../context/sleep.ts";
import { background, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import type { PolicyChange } from "../endpoint/policy.ts";
import { ServiceError } from "../errors/service-error.ts";
import { priorities } from "../metadata/priority.ts";
import { circuitBreaker } from "./breaker/circuit-breaker.ts";
import { consecutive } from "./breaker/trip.ts";
import { clientThrottle } from "./client-throttle.ts";
import { deadlineCheck } from "./deadline-check.ts";
import { fallback } from "./fallback.ts";
import { hedge } from "./hedge.ts";
import { concurrencyLimit } from "./overload/concurrency-limit.ts";
import { egressLimit } from "./rate-limit/egress-limit.ts";
import { rateLimit } from "./rate-limit/rate-limit.ts";
import { retry } from "./retry.ts";
import { RetryBudget } from "./retry-budget.ts";
import { responseCache } from "./reuse/response-cache.ts";
import { singleFlight } from "./reuse/single-flight.ts";

const io = { input: z.object({}), output: z.object({}) };
const service = contract("a.B", { get: unary({ ...io, idempotent: true }) });
const [get] = service.methods as [(typeof service.methods)[0]];
const half: Random = { next: () => 0.5 };
const busy = (): ServiceError => new ServiceError("unavailable", "busy");

/** What a middleware measures: by the name without its beginning, and the values of the attributes. */
function numbers({ policies = [] }: Middleware): Record<string, number> {
  const found: Record<string, number> = {};
  for (const policy of policies) {
    policy.measure((metric, value, attributes = {}) => {
      assert.ok(policy.metrics.includes(metric), `${metric.name} is none of the policy's metrics`);
      found[[metric.name.replace(/^flotilla\./, ""), ...Object.values(attributes)].join(" ")] = value;
    });
    for (const record of policy.describe()) assert.ok(JSON.stringify(record).startsWith("{"));
  }
  return found;
}

/** The messages of a middleware from now on, with a mark for what is well again. */
function messages({ policies = [] }: Middleware): string[] {
  const found: string[] = [];
  const note = ({ level, message }: PolicyChange): void =>
    void found.push(level === "notice" ? `(${message})` : message);
  for (const policy of policies) policy.listen?.(note);
  return found;
}

function bed(make: (clock: VirtualClock) => Middleware) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const middleware = make(clock);
  const plan: (ServiceError | number)[] = [];
  const endpoint: Endpoint = async (inner) => {
    const step = plan.shift() ?? 0;
    if (typeof step !== "number") throw step;
    if (step > 0) await sleep(inner, step);
    return {};
  };
  const wrapped = middleware(endpoint, get);
  /** Makes a call that takes so long, or fails. */
  const call = (timeoutMs = Infinity, ...steps: (ServiceError | number)[]): Promise<unknown> => {
    plan.push(...steps);
    return pass(
      clock,
      wrapped(withTimeout(ctx, timeoutMs), {}).catch((error: unknown) => error),
    );
  };
  return { clock, ctx, middleware, endpoint, wrapped, call };
}

test("every policy has something to tell from the start, under names of Flotilla's own, with a unit and in words", () => {
  const clock = new VirtualClock();
  const stack: Middleware[] = [
    circuitBreaker({ clock }),
    clientThrottle({ clock }),
    concurrencyLimit({ clock }),
    deadlineCheck(),
    egressLimit({ perSecond: 1 }),
    fallback(service, {}),
    hedge({ clock }),
    rateLimit({ perSecond: 1 }),
    responseCache({ ttlMs: 1 }),
    retry({ clock }),
    singleFlight(),
  ];
  for (const middleware of stack) {
    middleware(async () => ({}) as never, get);
    assert.ok(middleware.policies!.length > 0);
    assert.ok(Object.keys(numbers(middleware)).length > 0);
    for (const { metrics } of middleware.policies!) {
      for (const { name, unit, description } of metrics) {
        assert.match(name, /^flotilla\.[a-z_]+\.[a-z_]+$/);
        assert.ok(unit !== "" && description.endsWith("."), name);
      }
    }
  }
});

describe("a circuit breaker", () => {
  test("tells its state, openings and refusals; a line when it opens, none for a probe that fails, one when it closes", async () => {
    const { clock, middleware, call } = bed((c) => circuitBreaker({ clock: c, trip: consecutive(2), random: half }));
    const lines = messages(middleware);
    await call(Infinity, busy());
    await call(Infinity, busy());
    await call();
    assert.deepEqual(numbers(middleware), {
      "circuit_breaker.breakers a.B/get closed": 0,
      "circuit_breaker.breakers a.B/get open": 1,
      "circuit_breaker.breakers a.B/get half_open": 0,
      "circuit_breaker.openings a.B/get": 1,
      "circuit_breaker.refused a.B/get": 1,
    });
    await clock.advance(5000);
    await call(Infinity, busy());
    assert.equal(numbers(middleware)["circuit_breaker.openings a.B/get"], 2);
    await clock.advance(10_000);
    await call();
    assert.equal(numbers(middleware)["circuit_breaker.breakers a.B/get closed"], 1);
    assert.deepEqual(lines, [
      "the circuit of a.B/get opens: 2 calls in a row failed; next probe in 5000 ms",
      "(the circuit of a.B/get is closed again)",
    ]);
  });
});

describe("a concurrency limit", () => {
  test("tells of an overload once it refuses, and of its end when it has not for ten seconds", async () => {
    const { clock, ctx, middleware, wrapped, call } = bed((c) =>
      concurrencyLimit({ clock: c, limit: 1, maxQueued: 0 }),
    );
    const lines = messages(middleware);
    const held = new Endless();
    const holding = middleware(() => held.promise, get)(ctx, {});
    for (let i = 0; i < 3; i++) {
      await wrapped(ctx, {}).catch(() => {});
      await clock.advance(1000);
    }
    assert.equal(numbers(middleware)["concurrency_limit.in_flight server"], 1);
    assert.equal(numbers(middleware)["concurrency_limit.refused server default"], 3);
    held.end();
    await holding;
    await clock.advance(8999);
    await call();
    assert.equal(lines.length, 1);
    await clock.advance(1);
    await call();
    assert.deepEqual(lines, [
      "overload: calls are refused with 1 allowed at a time: 1 calls are in flight and 0 wait",
      "(overload is over: 3 calls were refused in 2.0 s)",
    ]);
    assert.equal(numbers(middleware)["concurrency_limit.in_flight server"], 0);
  });

  test("that has no more calls tells of the end when it is asked", async () => {
    const { clock, ctx, middleware, wrapped } = bed((c) => concurrencyLimit({ clock: c, limit: 1, maxQueued: 0 }));
    const lines = messages(middleware);
    const held = new Endless();
    const holding = middleware(() => held.promise, get)(ctx, {});
    await wrapped(ctx, {}).catch(() => {});
    held.end();
    await holding;
    await clock.advance(60_000);
    numbers(middleware);
    assert.equal(lines.length, 2);
  });
});

describe("retries", () => {
  test("are counted, and those that were given up by what was wanting", async () => {
    const { middleware, call } = bed((c) =>
      retry({ clock: c, random: half, baseMs: 20, budget: new RetryBudget({ floor: 4, clock: c }) }),
    );
    await call(Infinity, busy());
    await call(Infinity, busy(), busy(), busy());
    await call(5, busy());
    const { "retry.budget a.B": left, ...counts } = numbers(middleware);
    assert.deepEqual(counts, {
      "retry.attempts a.B": 3,
      "retry.given_up a.B budget": 0,
      "retry.given_up a.B deadline": 1,
      "retry.given_up a.B attempts": 1,
    });
    // Four at first, three of them spent, and what the calls have earned meanwhile.
    assert.ok(left! >= 1 && left! < 2, `${left} are left`);
    await call(Infinity, busy(), busy(), busy());
    assert.equal(numbers(middleware)["retry.attempts a.B"], 4);
    assert.equal(numbers(middleware)["retry.given_up a.B budget"], 1);
    assert.ok(numbers(middleware)["retry.budget a.B"]! < 1);
  });
});

describe("hedges", () => {
  test("are counted, those that won, and those for which there was no budget", async () => {
    const { middleware, call } = bed((c) =>
      hedge({ clock: c, delayMs: 20, budget: new RetryBudget({ floor: 2, clock: c }) }),
    );
    await call(Infinity, 10);
    await call(Infinity, 100, 10);
    await call(Infinity, 30, 100);
    await call(Infinity, 100, 10);
    assert.deepEqual(numbers(middleware), { "hedge.sent a.B": 2, "hedge.won a.B": 1, "hedge.given_up a.B": 1 });
  });
});

describe("a throttle", () => {
  test("tells the chance to be held back, and how often it came to that", async () => {
    const { middleware, call } = bed((c) => clientThrottle({ clock: c, random: half, floor: 0 }));
    const none = priorities.flatMap((priority) => [
      [`throttle.refusing a.B ${priority}`, 0],
      [`throttle.refused a.B ${priority}`, 0],
    ]);
    assert.deepEqual(numbers(middleware), Object.fromEntries(none));
    for (let i = 0; i < 9; i++) await call(Infinity, new ServiceError("resource_exhausted", "no more"));
    const { "throttle.refusing a.B default": refusing, "throttle.refused a.B default": refused } = numbers(middleware);
    assert.equal(refusing, 0.9);
    assert.ok(refused! > 0);
  });
});

describe("an egress limit", () => {
  test("tells who waits, and who was refused", async () => {
    const { clock, ctx, middleware, wrapped, call } = bed((c) =>
      egressLimit({ limit: 1, windowMs: 100, burst: 1, clock: c }),
    );
    await wrapped(ctx, {});
    const second = wrapped(ctx, {});
    assert.equal(numbers(middleware)["egress_limit.waiting egress"], 1);
    await call(10);
    assert.equal(numbers(middleware)["egress_limit.refused egress"], 1);
    await pass(clock, second);
    assert.deepEqual(numbers(middleware), {
      "egress_limit.waiting egress": 0,
      "egress_limit.refused egress": 1,
      "rate_limit.keys": 1,
      "rate_limit.forgotten": 0,
    });
  });
});

/** A call that ends when it is told to. */
class Endless {
  readonly promise: Promise<object>;
  end!: () => void;

  constructor() {
    this.promise = new Promise((resolve) => {
      this.end = () => resolve({});
    });
  }
}
