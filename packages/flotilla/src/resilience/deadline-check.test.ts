import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { pass } from "../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { sleep } from "../context/sleep.ts";
import { background, withoutCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { PolicyMetric } from "../endpoint/policy.ts";
import { refusalReason } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type DeadlineCheckOptions, deadlineCheck } from "./deadline-check.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { one: unary(io), other: unary(io), many: serverStream(io) });
const [one, other, many] = methods as [(typeof methods)[0], (typeof methods)[0], (typeof methods)[0]];

/** A checked endpoint whose calls take so long, whatever their context says. */
function bed(options: DeadlineCheckOptions = {}) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const state = { takesMs: 30, begun: 0 };
  const endpoint: Endpoint = async (inner) => {
    state.begun++;
    await sleep(withoutCancel(inner), state.takesMs);
    if (inner.err !== undefined) throw inner.err;
    return "done";
  };
  const check = deadlineCheck(options);
  const [policy] = check.policies!;
  const checked = check(endpoint, one);
  /** What becomes of one call with so much time. */
  const call = (timeoutMs = Infinity, target = checked): Promise<unknown> =>
    pass(
      clock,
      target(withTimeout(ctx, timeoutMs), {}).catch((error: unknown) => error),
    );
  const learn = async (calls = 20): Promise<void> => {
    for (let i = 0; i < calls; i++) assert.equal(await call(1000), "done");
  };
  const refused = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    policy!.measure(({ name }: PolicyMetric, value, attributes) => {
      if (name.endsWith(".refused") && attributes!["rpc.method"] === "a.B/one") counts[attributes!["reason"]!] = value;
    });
    return counts;
  };
  return { clock, ctx, state, endpoint, check, call, learn, refused };
}

const isTooNear = (outcome: unknown): boolean =>
  outcome instanceof ServiceError &&
  outcome.code === "deadline_exceeded" &&
  refusalReason(outcome) === "DEADLINE_TOO_NEAR";

describe("refused is", () => {
  test("what has less time than any call took lately, without having been begun", async () => {
    const { state, call, learn, refused } = bed();
    await learn();
    // The first is a probe.
    assert.ok(!isTooNear(await call(29)));
    const before = state.begun;
    const outcome = (await call(29)) as ServiceError;
    assert.ok(isTooNear(outcome));
    assert.equal(outcome.message, "a.B/one has taken 30 ms and more lately, and 29 ms are left");
    assert.deepEqual(outcome.retry, { unprocessed: true });
    assert.equal(state.begun, before);
    assert.equal(await call(31), "done");
    assert.equal(await call(), "done");
    assert.deepEqual(refused(), { passed: 0, near: 1 });
  });

  test("what is out of time on arrival, whatever is known", async () => {
    const { state, call, refused } = bed();
    const outcome = (await call(0)) as ServiceError;
    assert.ok(isTooNear(outcome));
    assert.equal(outcome.message, "the deadline passed before the call was begun");
    assert.equal(state.begun, 0);
    assert.deepEqual(refused(), { passed: 1, near: 0 });
  });

  test("on a client with the word never to try again", async () => {
    const { call } = bed({ side: "client" });
    assert.deepEqual(((await call(0)) as ServiceError).retry, { unprocessed: true, never: true });
  });

  test("nothing of what streams", () => {
    const { check, endpoint } = bed();
    assert.equal(check(endpoint, many), endpoint);
  });
});

describe("the evidence", () => {
  test("is needed: so many calls, that went well", async () => {
    const { state, call, learn } = bed();
    await learn(19);
    for (let i = 0; i < 100; i++) assert.ok(!isTooNear(await call(5)), "calls that fail are no evidence");
    await learn(1);
    await call(5);
    assert.ok(isTooNear(await call(5)));
    assert.equal(state.begun, 19 + 100 + 1 + 1);
  });

  test("is a method's own", async () => {
    const { call, check, endpoint, learn } = bed();
    await learn();
    await call(5);
    assert.ok(isTooNear(await call(5)));
    const another = check(endpoint, other);
    for (let i = 0; i < 5; i++) assert.ok(!isTooNear(await call(5, another)));
  });

  test("is the least: a few that are faster let those through that may be", async () => {
    const { state, call, learn } = bed();
    await learn(100);
    state.takesMs = 4;
    await learn(1);
    assert.equal(await call(5), "done");
  });

  test("rises with what calls take, within two windows", async () => {
    const { clock, state, call, learn } = bed();
    await learn(100);
    state.takesMs = 300;
    const startedMs = clock.now();
    let refusedAfterMs = Infinity;
    while (clock.now() - startedMs < 30_000) {
      await learn(1);
      if (isTooNear(await call(100))) refusedAfterMs = Math.min(refusedAfterMs, clock.now() - startedMs);
    }
    assert.ok(refusedAfterMs <= 21_500, `${refusedAfterMs} ms`);
  });

  test("falls within a second when calls get faster, though all would be refused", async () => {
    const { clock, state, call, learn } = bed();
    await learn();
    await call(5);
    assert.ok(isTooNear(await call(5)));
    state.takesMs = 1;
    const startedMs = clock.now();
    while (isTooNear(await call(5))) await clock.advance(10);
    assert.ok(clock.now() - startedMs <= 1010, `${clock.now() - startedMs} ms`);
    for (let i = 0; i < 50; i++) assert.equal(await call(5), "done");
  });

  test("is probed by one call a second, no more", async () => {
    const { clock, state, call, learn } = bed();
    await learn();
    const before = state.begun;
    for (let i = 0; i < 1000; i++) {
      void call(5);
      await clock.advance(10);
    }
    assert.ok(state.begun - before >= 9 && state.begun - before <= 11, `${state.begun - before} probes in 10 s`);
  });

  test("of a method that is quick is looked at now and then, and again for each call when it has become slow", async () => {
    const { clock, state, call, learn, refused } = bed();
    state.takesMs = 0.5;
    await learn(100);
    for (let i = 0; i < 320; i++) await call(0);
    assert.deepEqual(refused(), { passed: 10, near: 0 });
    state.takesMs = 30;
    const startedMs = clock.now();
    while (clock.now() - startedMs < 30_000) await learn(1);
    await call(5);
    for (let i = 0; i < 10; i++) assert.ok(isTooNear(await call(5)));
  });

  test("is forgotten when nothing went well for two windows", async () => {
    const { clock, call, learn } = bed();
    await learn();
    await call(5);
    assert.ok(isTooNear(await call(5)));
    await clock.advance(20_000);
    for (let i = 0; i < 5; i++) assert.ok(!isTooNear(await call(5)));
  });
});

test("options that are not legal are refused, by name", () => {
  for (const [options, name] of [
    [{ windowMs: 0 }, "windowMs"],
    [{ minCalls: 0 }, "minCalls"],
    [{ probeMs: Number.NaN }, "probeMs"],
  ] as const) {
    assert.throws(() => deadlineCheck(options), new RegExp(`deadlineCheck: ${name}`));
  }
});
