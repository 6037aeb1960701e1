import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { type Random, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../contract/method.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { type RetryInfo, ServiceError } from "../errors/service-error.ts";
import { type RetryOptions, retry } from "./retry.ts";
import { RetryBudget } from "./retry-budget.ts";

const any = z.object({});
const io = { input: any, output: any };
const { methods } = contract("a.B", {
  get: unary({ ...io, idempotent: true }),
  add: unary(io),
  watch: serverStream({ ...io, idempotent: true }),
  load: clientStream({ ...io, idempotent: true }),
  chat: bidiStream({ ...io, idempotent: true }),
});
const method = (key: string): MethodInfo => methods.find((info) => info.key === key)!;

/** Half of every wait, so that times can be told. */
const half: Random = { next: () => 0.5 };

const unavailable = (info?: RetryInfo): ServiceError =>
  new ServiceError("unavailable", "busy", info === undefined ? {} : { retry: info });

/** A retried endpoint that fails with each of the errors in turn, then succeeds; with the times it was called at. */
function failing(errors: readonly unknown[], options: RetryOptions = {}, key = "get") {
  const clock = new VirtualClock();
  const at: number[] = [];
  const endpoint: Endpoint = async () => {
    at.push(clock.now());
    if (at.length <= errors.length) throw errors[at.length - 1];
    return "ok";
  };
  const retrying = retry({ random: half, clock, ...options })(endpoint, method(key));
  /** The outcome, whatever time it takes. */
  const outcome = async (ctx = background(clock)): Promise<unknown> => {
    let result: unknown;
    let over = false;
    void retrying(ctx, {})
      .catch((error: unknown) => error)
      .then((value) => {
        result = value;
        over = true;
      });
    do await new Promise((resolve) => setImmediate(resolve));
    while (!over && (await clock.runNext()));
    assert.ok(over, "the call did not end");
    return result;
  };
  return { at, clock, outcome };
}

describe("what is tried again", () => {
  test("idempotent methods that were unavailable, three attempts in all", async () => {
    const twice = failing([unavailable(), unavailable()]);
    assert.equal(await twice.outcome(), "ok");
    assert.deepEqual(twice.at, [0, 10, 30]);
    const thrice = failing([unavailable(), unavailable(), new ServiceError("unavailable", "at last")]);
    const error = (await thrice.outcome()) as ServiceError;
    assert.equal(thrice.at.length, 3);
    assert.equal(error.message, "at last");
    assert.equal(error.retry?.never, true, "whoever called us does not try again");
    assert.deepEqual(error.attempts, [
      { address: undefined, code: "unavailable", message: "busy", afterMs: 0, durationMs: 0 },
      { address: undefined, code: "unavailable", message: "busy", afterMs: 10, durationMs: 0 },
      { address: undefined, code: "unavailable", message: "at last", afterMs: 30, durationMs: 0 },
    ]);
  });

  test("others only when no handler was reached", async () => {
    const reached = failing([unavailable()], {}, "add");
    assert.equal(((await reached.outcome()) as ServiceError).code, "unavailable");
    assert.equal(reached.at.length, 1);
    const refused = failing([unavailable({ unprocessed: true })], {}, "add");
    assert.equal(await refused.outcome(), "ok");
    const other = failing(
      [new ServiceError("resource_exhausted", "full", { retry: { unprocessed: true } })],
      {},
      "add",
    );
    assert.equal(await other.outcome(), "ok");
  });

  test("not what another attempt cannot mend, and not what is no ServiceError", async () => {
    for (const error of [
      new ServiceError("invalid_argument", "wrong"),
      new ServiceError("internal", "broken"),
      new ServiceError("deadline_exceeded", "late"),
      new ServiceError("canceled", "gone"),
      new TypeError("a bug"),
    ]) {
      const call = failing([error]);
      assert.equal(((await call.outcome()) as ServiceError).code, ServiceError.from(error).code);
      assert.equal(call.at.length, 1);
    }
  });

  test("the codes are the caller's choice", async () => {
    const call = failing([new ServiceError("aborted", "conflict")], { codes: ["aborted"] });
    assert.equal(await call.outcome(), "ok");
    const none = failing([unavailable()], { codes: [] });
    assert.notEqual(await none.outcome(), "ok");
  });

  test("never against the server's word", async () => {
    const call = failing([unavailable({ never: true, unprocessed: true })]);
    assert.equal(((await call.outcome()) as ServiceError).retry?.never, true);
    assert.equal(call.at.length, 1);
  });

  test("a server stream that did not begin, no stream of requests", async () => {
    const watch = failing([unavailable()], {}, "watch");
    assert.equal(await watch.outcome(), "ok");
    const endpoint: Endpoint = async () => "ok";
    assert.equal(retry()(endpoint, method("load")), endpoint);
    assert.equal(retry()(endpoint, method("chat")), endpoint);
  });

  test("maxAttempts: 1 is no retry at all", () => {
    const endpoint: Endpoint = async () => "ok";
    assert.equal(retry({ maxAttempts: 1 })(endpoint, method("get")), endpoint);
  });

  test("an error that ends the attempts keeps its own word on retrying, and lists them too", async () => {
    const call = failing([unavailable(), new ServiceError("invalid_argument", "wrong")]);
    const error = (await call.outcome()) as ServiceError;
    assert.equal(error.code, "invalid_argument");
    assert.equal(error.retry, undefined);
    assert.deepEqual(
      error.attempts?.map(({ code }) => code),
      ["unavailable", "invalid_argument"],
    );
  });

  test("a method that is not idempotent, when told so", async () => {
    const call = failing([unavailable()], { alsoRetry: ({ name }) => name === "add" }, "add");
    assert.equal(await call.outcome(), "ok");
  });

  test("the attempts know of each other", async () => {
    const counts: unknown[] = [];
    const endpoint: Endpoint = async (ctx) => {
      const attempts = ctx.value(attemptsKey)!;
      counts.push(attempts);
      if (counts.length < 3) throw unavailable();
    };
    await retry({ baseMs: 0 })(endpoint, method("get"))(background(), {});
    assert.equal(counts.length, 3);
    assert.equal(new Set(counts).size, 1);
    await retry({ baseMs: 0 })(endpoint, method("get"))(background(), {});
    assert.equal(new Set(counts).size, 2, "each call has its own");
  });
});

describe("when", () => {
  test("waits are spread between 0 and a bound that doubles up to the maximum", async () => {
    const random = seededRandom(3);
    const waits: number[][] = [[], [], [], []];
    for (let i = 0; i < 300; i++) {
      const call = failing(Array(4).fill(unavailable()), {
        random,
        maxAttempts: 5,
        baseMs: 100,
        maxMs: 300,
        budget: new RetryBudget({ floor: 10 }),
      });
      await call.outcome();
      for (let n = 1; n < call.at.length; n++) waits[n - 1]!.push(call.at[n]! - call.at[n - 1]!);
    }
    for (const [n, bound] of [100, 200, 300, 300].entries()) {
      const list = waits[n]!;
      assert.equal(list.length, 300);
      assert.ok(Math.max(...list) <= bound && Math.max(...list) > bound * 0.95, `max ${Math.max(...list)} of ${bound}`);
      assert.ok(Math.min(...list) >= 0 && Math.min(...list) < bound * 0.05, `min ${Math.min(...list)} of ${bound}`);
      const mean = list.reduce((a, b) => a + b, 0) / list.length;
      assert.ok(Math.abs(mean - bound / 2) < bound * 0.08, `mean ${mean} of ${bound}`);
    }
  });

  test("not before the time the server names, and not all at that very time", async () => {
    const call = failing([unavailable({ afterMs: 1500 })]);
    assert.equal(await call.outcome(), "ok");
    assert.deepEqual(call.at, [0, 1510]);
  });

  test("not at all when the deadline would pass meanwhile: the failure is told at once", async () => {
    const error = unavailable({ afterMs: 500 });
    const call = failing([error]);
    assert.equal(await call.outcome(withTimeout(background(call.clock), 400)), error);
    assert.deepEqual(call.at, [0]);
    assert.equal(call.clock.now(), 0);
  });

  test("cancelling ends the wait", async () => {
    const call = failing([unavailable({ afterMs: 500 })]);
    const ctx = withCancel(background(call.clock));
    call.clock.schedule(100, () => ctx.cancel());
    assert.equal(((await call.outcome(ctx)) as ServiceError).code, "canceled");
    assert.deepEqual(call.at, [0]);
    assert.equal(call.clock.now(), 100);
  });

  test("a call whose context ended during the attempt is not tried again", async () => {
    const clock = new VirtualClock();
    const ctx = withCancel(background(clock));
    const error = unavailable();
    let calls = 0;
    const endpoint: Endpoint = async () => {
      calls++;
      ctx.cancel();
      throw error;
    };
    await assert.rejects(retry({ clock })(endpoint, method("get"))(ctx, {}), (thrown) => thrown === error);
    assert.equal(calls, 1);
  });
});

describe("time for one attempt", () => {
  /** An endpoint that takes so long each time, with the contexts it was called with. */
  function slow(times: readonly number[], options: RetryOptions, key = "get") {
    const clock = new VirtualClock();
    const seen: Context[] = [];
    const endpoint: Endpoint = async (ctx) => {
      seen.push(ctx);
      await sleep(ctx, times[seen.length - 1]!);
      return seen.length;
    };
    return { clock, seen, call: retry({ random: half, clock, ...options })(endpoint, method(key)) };
  }

  test("an attempt that takes longer is cancelled, and another made", async () => {
    const { clock, seen, call } = slow([500, 20], { perTryTimeoutMs: 100, baseMs: 0 });
    const outcome = call(background(clock), {});
    await clock.advance(110);
    assert.equal(seen[0]!.err?.code, "deadline_exceeded");
    await clock.advance(100);
    assert.equal(await outcome, 2);
    assert.equal(clock.now(), 210);
    assert.equal(clock.pending, 0);
  });

  test("the deadline of the call ends it all: 100 ms are at most 105, and the handler is cancelled", async () => {
    const { clock, seen, call } = slow([500, 500, 500, 500], { perTryTimeoutMs: 80, maxAttempts: 4 });
    const ctx = withTimeout(background(clock), 100);
    const outcome = call(ctx, {}).catch((error: unknown) => ({ error: error as ServiceError, at: clock.now() }));
    await clock.advance(1000);
    const { error, at } = (await outcome) as { error: ServiceError; at: number };
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(at <= 105, `the call took ${at} ms`);
    assert.equal(seen.length, 2);
    for (const inner of seen) assert.equal(inner.err?.code, "deadline_exceeded");
    assert.equal(clock.pending, 0);
  });

  test("methods that are not idempotent may take all the time there is", async () => {
    const { clock, call } = slow([500], { perTryTimeoutMs: 100 }, "add");
    const outcome = call(background(clock), {});
    await clock.advance(500);
    assert.equal(await outcome, 1);
  });

  test("all attempts too long: the error says so, and lists them", async () => {
    const { clock, call } = slow([500, 500, 500], { perTryTimeoutMs: 100, baseMs: 0 });
    const outcome = call(background(clock), {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(400);
    const error = (await outcome) as ServiceError;
    assert.equal(error.message, "the attempt took longer than 100 ms");
    assert.deepEqual(
      error.attempts?.map(({ afterMs }) => Math.round(afterMs / 10)),
      [0, 10, 20],
    );
  });
});

describe("how often in all", () => {
  /** Attempts a second against a target that always fails, at so many requests a second for a minute. */
  async function load(perSecond: number, options: RetryOptions = {}): Promise<{ requests: number; attempts: number }> {
    const clock = new VirtualClock();
    const ctx = background(clock);
    let attempts = 0;
    const down: Endpoint = async () => {
      attempts++;
      throw unavailable();
    };
    const get = retry({ random: seededRandom(5), clock, ...options })(down, method("get"));
    const requests = 60 * perSecond;
    for (let i = 0; i < requests; i++) {
      get(ctx, {}).catch(() => {});
      await clock.advance(1000 / perSecond);
    }
    await clock.advance(5000);
    assert.equal(clock.pending, 0);
    return { requests, attempts };
  }

  test("while everything fails, the load stays within 1.2 of the requests and the floor", async () => {
    const { requests, attempts } = await load(100);
    // The floor is ten retries in ten seconds.
    assert.ok(attempts <= requests * 1.2 + 80, `${attempts} attempts for ${requests} requests`);
    assert.ok(attempts >= requests * 1.19, `only ${attempts} attempts for ${requests} requests`);
  });

  test("a quiet client may retry all it wants", async () => {
    const { requests, attempts } = await load(0.25);
    assert.equal(attempts, requests * 3);
  });

  test("the methods of one service share a budget, services do not", async () => {
    const wrap = retry({ random: half, baseMs: 0, clock: new VirtualClock() });
    let calls = 0;
    const down: Endpoint = async () => {
      calls++;
      throw unavailable();
    };
    const other = contract("a.Other", { get: unary({ ...io, idempotent: true }) }).methods[0]!;
    const spend = async (info: MethodInfo): Promise<number> => {
      calls = 0;
      const endpoint = wrap(down, info);
      for (let i = 0; i < 10; i++) await endpoint(background(), {}).catch(() => {});
      return calls;
    };
    const put = { ...method("get"), name: "put" };
    assert.ok((await spend(method("get"))) >= 20, "the floor of ten");
    assert.ok((await spend(put)) <= 13, "used up by get");
    assert.ok((await spend(other)) >= 20, "not used up for the other service");
  });

  test("the first retry of a call that reached nobody is not counted: no load is added", async () => {
    let attempts = 0;
    const refused: Endpoint = async () => {
      attempts++;
      throw unavailable({ unprocessed: true });
    };
    const budget = new RetryBudget({ floor: 3, ratio: 0, clock: new VirtualClock() });
    const add = retry({ baseMs: 0, budget })(refused, method("add"));
    for (let i = 0; i < 20; i++) await add(background(), {}).catch(() => {});
    assert.equal(attempts, 20 * 2 + 3);
  });

  test("a budget given is used by all", async () => {
    const budget = new RetryBudget({ floor: 1, ratio: 0, clock: new VirtualClock() });
    const first = failing([unavailable()], { budget });
    const second = failing([unavailable()], { budget });
    assert.equal(await first.outcome(), "ok");
    assert.notEqual(await second.outcome(), "ok");
  });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => retry({ maxAttempts: 0 }), /retry: maxAttempts/);
  assert.throws(() => retry({ baseMs: -1 }), /retry: baseMs/);
  assert.throws(() => retry({ maxMs: Number.NaN }), /retry: maxMs/);
  assert.throws(() => retry({ perTryTimeoutMs: 0 }), /retry: perTryTimeoutMs/);
  assert.throws(() => retry({ codes: ["busy" as never] }), /retry: codes has busy/);
});
