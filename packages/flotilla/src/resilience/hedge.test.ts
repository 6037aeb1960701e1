import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type HedgeOptions, hedge } from "./hedge.ts";
import { retry } from "./retry.ts";
import { RetryBudget } from "./retry-budget.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { get: unary({ ...io, idempotent: true }), add: unary(io) });
const [get, add] = methods as [(typeof methods)[0], (typeof methods)[0]];

/** Each attempt takes as long as the plan says, and fails where it has an error. */
function bed(plan: readonly (number | ServiceError)[], options: HedgeOptions = {}) {
  const clock = new VirtualClock();
  const seen: Context[] = [];
  const at: number[] = [];
  const endpoint: Endpoint = async (ctx) => {
    const step = plan[seen.length] ?? 10;
    seen.push(ctx);
    at.push(clock.now());
    const n = seen.length;
    if (step instanceof ServiceError) throw step;
    await sleep(ctx, step);
    return n;
  };
  return {
    clock,
    ctx: background(clock),
    seen,
    at,
    endpoint,
    call: hedge({ clock, delayMs: 20, ...options })(endpoint, get),
  };
}

const busy = (retrying = {}): ServiceError => new ServiceError("unavailable", "busy", { retry: retrying });

describe("when it is slow", () => {
  test("another is asked, the first answer counts, the loser is cancelled and told why", async () => {
    const { clock, ctx, seen, at, call } = bed([1000, 10]);
    const outcome = call(ctx, {});
    await clock.advance(30);
    assert.equal(await outcome, 2);
    assert.deepEqual(at, [0, 20]);
    assert.equal(seen[0]!.err?.code, "canceled");
    assert.match(String(seen[0]!.cause), /another attempt of the call has answered/);
    assert.equal(clock.pending, 0);
  });

  test("the first may still win", async () => {
    const { clock, ctx, seen, call } = bed([25, 500]);
    const outcome = call(ctx, {});
    await clock.advance(25);
    assert.equal(await outcome, 1);
    assert.equal(seen[1]!.err?.code, "canceled");
    assert.equal(clock.pending, 0);
  });

  test("no more attempts than allowed, each after the delay", async () => {
    const { clock, ctx, at, call } = bed([500, 500, 500, 500], { maxAttempts: 3 });
    const outcome = call(ctx, {});
    await clock.advance(500);
    assert.equal(await outcome, 1);
    assert.deepEqual(at, [0, 20, 40]);
  });

  test("all attempts of a call know what was tried", async () => {
    const { clock, ctx, seen, call } = bed([100, 100]);
    const outcome = call(ctx, {});
    await clock.advance(100);
    await outcome;
    assert.equal(seen[0]!.value(attemptsKey)!.tried, seen[1]!.value(attemptsKey)!.tried);
  });

  test("quick calls cost no second attempt", async () => {
    const { clock, ctx, at, call } = bed([19, 19]);
    const outcome = call(ctx, {});
    await clock.advance(19);
    await outcome;
    assert.deepEqual(at, [0]);
    assert.equal(clock.pending, 0);
  });

  test("the caller's end is the end of all attempts", async () => {
    const { clock, ctx, seen, call } = bed([500, 500]);
    const outcome = call(withTimeout(ctx, 50), {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(100);
    assert.equal(((await outcome) as ServiceError).code, "deadline_exceeded");
    for (const inner of seen) assert.ok(inner.err !== undefined);
    assert.equal(clock.pending, 0);
  });
});

describe("when it fails", () => {
  test("a passing failure sends the next at once", async () => {
    const { clock, ctx, at, call } = bed([busy(), 10]);
    const outcome = call(ctx, {});
    await clock.advance(10);
    assert.equal(await outcome, 2);
    assert.deepEqual(at, [0, 0]);
  });

  test("a failure of one is no answer while another runs", async () => {
    const { clock, ctx, call } = bed([100, busy()]);
    const outcome = call(ctx, {});
    await clock.advance(100);
    assert.equal(await outcome, 1);
  });

  test("any other failure ends it", async () => {
    const { clock, ctx, seen, call } = bed([500, new ServiceError("not_found", "none")]);
    const outcome = call(ctx, {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(20);
    assert.equal(((await outcome) as ServiceError).code, "not_found");
    assert.equal(seen[0]!.err?.code, "canceled");
    assert.equal(clock.pending, 0);
  });

  test("the error lists all attempts, those that were cut short, too", async () => {
    const { clock, ctx, call } = bed([busy(), 500, new ServiceError("not_found", "none")], { maxAttempts: 3 });
    const outcome = call(ctx, {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(20);
    const error = (await outcome) as ServiceError;
    assert.equal(error.message, "none");
    const address = undefined;
    assert.deepEqual(error.attempts, [
      { address, code: "unavailable", message: "busy", afterMs: 0, durationMs: 0 },
      {
        address,
        code: "canceled",
        message: "another attempt of the call failed for good",
        afterMs: 0,
        durationMs: 20,
      },
      { address, code: "not_found", message: "none", afterMs: 20, durationMs: 0 },
    ]);
  });

  test("a failure that must not be tried again ends what is under way, too", async () => {
    const { clock, ctx, seen, call } = bed([500, busy({ never: true })]);
    const outcome = call(ctx, {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(20);
    assert.equal(((await outcome) as ServiceError).message, "busy");
    assert.equal(seen[0]!.err?.code, "canceled");
  });

  test("the server's word counts: never, and not before", async () => {
    for (const retrying of [{ never: true }, { afterMs: 100 }]) {
      const { clock, ctx, at, call } = bed([busy(retrying), 10]);
      const outcome = call(ctx, {}).catch((error: unknown) => error as ServiceError);
      await clock.advance(500);
      assert.equal(((await outcome) as ServiceError).code, "unavailable");
      assert.deepEqual(at, [0]);
    }
  });
});

describe("how often", () => {
  test("within the budget", async () => {
    const budget = new RetryBudget({ floor: 2, ratio: 0, clock: new VirtualClock() });
    const { clock, ctx, at, call } = bed([], { budget, delayMs: 5 });
    for (let i = 0; i < 10; i++) {
      const outcome = call(ctx, {});
      await clock.advance(20);
      await outcome;
    }
    assert.equal(at.length, 12);
  });

  test("not at all until enough was measured, then after the quantile", async () => {
    const clock = new VirtualClock();
    let n = 0;
    let sent = 0;
    const endpoint: Endpoint = async (ctx) => {
      sent++;
      await sleep(ctx, n % 10 === 9 ? 100 : 10);
    };
    const call = hedge({ clock, quantile: 0.85, budget: new RetryBudget({ ratio: 1, clock }) })(endpoint, get);
    for (; n < 100; n++) {
      const outcome = call(background(clock), {});
      await clock.advance(100);
      await outcome;
    }
    assert.equal(sent, 100);
    n = 109;
    const outcome = call(background(clock), {});
    await clock.advance(10);
    assert.equal(sent, 101);
    await clock.advance(2);
    assert.equal(sent, 102, "told to 9 %");
    await clock.advance(100);
    await outcome;
  });

  test("only unary methods that are idempotent", () => {
    const { endpoint } = bed([]);
    assert.equal(hedge()(endpoint, add), endpoint);
  });

  test("a retry around it repeats the whole, avoids what was tried, and lists all", async () => {
    const { clock, ctx, endpoint, at, seen } = bed([busy(), busy(), 10, ...Array(6).fill(busy())]);
    const budget = new RetryBudget({ clock });
    const options = { clock, budget, baseMs: 20, maxMs: 20, random: { next: () => 0.5 } };
    const call = retry(options)(hedge({ clock, budget, delayMs: 20 })(endpoint, get), get);
    const outcome = call(ctx, {});
    await clock.advance(20);
    assert.equal(await outcome, 3);
    assert.equal(at.length, 3);
    assert.equal(new Set(seen.map((inner) => inner.value(attemptsKey)!.tried)).size, 1);
    const failed = call(ctx, {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(20);
    assert.deepEqual(
      ((await failed) as ServiceError).attempts?.map(({ code, afterMs }) => [code, afterMs]),
      [0, 0, 10, 10, 20, 20].map((ms) => ["unavailable", ms]),
    );
  });

  test("where the time of an attempt ends them, a retry around it lists all as well", async () => {
    const { clock, ctx, endpoint } = bed([500, 500, 500, 500]);
    const budget = new RetryBudget({ clock });
    const options = { clock, budget, baseMs: 0, perTryTimeoutMs: 50, maxAttempts: 2 };
    const call = retry(options)(hedge({ clock, budget, delayMs: 20 })(endpoint, get), get);
    const outcome = call(ctx, {}).catch((error: unknown) => error as ServiceError);
    await clock.advance(200);
    assert.deepEqual(
      ((await outcome) as ServiceError).attempts?.map(({ afterMs }) => Math.round(afterMs / 10)),
      [0, 2, 5, 7],
    );
  });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => hedge({ quantile: 1 }), /hedge: quantile/);
  assert.throws(() => hedge({ minDelayMs: -1 }), /hedge: minDelayMs/);
  assert.throws(() => hedge({ delayMs: Number.NaN }), /hedge: delayMs/);
  assert.throws(() => hedge({ maxAttempts: 1 }), /hedge: maxAttempts/);
  assert.throws(() => hedge({ codes: ["slow" as never] }), /hedge: codes has slow/);
});
