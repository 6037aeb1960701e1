import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { uniform } from "../../clock/distribution.ts";
import { seededRandom } from "../../clock/random.ts";
import { pass } from "../../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { contextKey } from "../../context/key.ts";
import { background, withCancel, withTimeout, withValue } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { clientStream, serverStream, unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { ErrorInfo } from "../../errors/details.ts";
import { detailTypes, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { failureOf, readAll } from "../../testing/transport-bed.ts";
import type { CallFault } from "./call-fault.ts";
import { faults } from "./faults.ts";
import { FAULT_INJECTED } from "./live-fault.ts";

const message = z.object({ n: z.number() });
const Shop = contract("test.v1.Shop", {
  order: unary({ input: message, output: message }),
  pay: unary({ input: message, output: message }),
  watch: serverStream({ input: message, output: message }),
  fill: clientStream({ input: message, output: message }),
});
const [order, pay, watch, fill] = Shop.methods;

/** A middleware around endpoints that count what gets to them. */
function bed(seed = 1) {
  const clock = new VirtualClock();
  const chaos = faults({ random: seededRandom(seed) });
  const asked: string[] = [];
  let closed = 0;
  const answering =
    (name: string): Endpoint =>
    async (_ctx, request) => {
      asked.push(name);
      return request;
    };
  const streaming: Endpoint = async (_ctx, request) => {
    asked.push("watch");
    return (async function* () {
      try {
        for (let n = 1; n <= (request as { n: number }).n; n++) yield n;
      } finally {
        closed++;
      }
    })();
  };
  return {
    clock,
    ctx: background(clock),
    chaos,
    asked,
    closed: () => closed,
    order: chaos(answering("order"), order!),
    pay: chaos(answering("pay"), pay!),
    watch: chaos(streaming, watch!) as Endpoint<{ n: number }, AsyncIterable<number>>,
    fill: chaos(answering("fill"), fill!),
  };
}

/** How long it takes until the work is done, milliseconds. */
async function taken(clock: VirtualClock, work: Promise<unknown>): Promise<number> {
  const startedMs = clock.now();
  return pass(
    clock,
    work.then(() => clock.now() - startedMs),
  );
}

describe("as long as nothing is injected", () => {
  test("calls go on as they are, in the same promise", () => {
    const given = Promise.resolve("answer");
    const call = faults()(() => given as never, order!);
    assert.equal(call(background(), {}), given);
  });

  test("and again when all is healed", async () => {
    const { chaos, ctx, order } = bed();
    const one = chaos.inject({ error: "internal" });
    chaos.inject({ error: "aborted" });
    assert.deepEqual(
      chaos.active.map(({ fault }) => fault.error),
      ["internal", "aborted"],
    );
    one.heal();
    one.heal();
    assert.equal((await failureOf(order(ctx, {}))).code, "aborted");
    chaos.heal();
    assert.deepEqual(chaos.active, []);
    assert.equal(await order(ctx, "well"), "well");
  });
});

describe("which calls", () => {
  test("those of some methods, by name or procedure", async () => {
    const { chaos, ctx, order, pay, asked } = bed();
    const byName = chaos.inject({ methods: ["pay"], error: "unavailable" });
    await order(ctx, 1);
    assert.equal((await failureOf(pay(ctx, 1))).code, "unavailable");
    byName.heal();
    const byProcedure = chaos.inject({ methods: ["test.v1.Shop/order", "other.v1.Shop/pay"], error: "internal" });
    await pay(ctx, 1);
    assert.equal((await failureOf(order(ctx, 1))).code, "internal");
    assert.deepEqual([byName.hits, byProcedure.hits], [1, 1]);
    assert.deepEqual(asked, ["order", "pay"]);
  });

  test("those of a tenant", async () => {
    const { chaos, ctx, order } = bed();
    const tenant = contextKey<string>("tenant");
    const fault = chaos.inject({
      error: "unavailable",
      when: (ctx, { name }) => `${ctx.value(tenant)} ${name}` === "acme order",
    });
    await order(withValue(ctx, tenant, "other"), 1);
    assert.equal((await failureOf(order(withValue(ctx, tenant, "acme"), 1))).code, "unavailable");
    assert.equal(fault.hits, 1);
  });

  test("a share of them, the same ones again from the same seed", async () => {
    const run = async (share: number): Promise<string> => {
      const { chaos, ctx, order } = bed(7);
      const fault = chaos.inject({ share, error: "unavailable" });
      let outcomes = "";
      for (let i = 0; i < 1000; i++)
        outcomes += await order(ctx, 1).then(
          () => "-",
          () => "x",
        );
      assert.equal(fault.hits, outcomes.replaceAll("-", "").length);
      return outcomes;
    };
    const tenth = await run(0.1);
    const hits = tenth.replaceAll("-", "").length;
    assert.ok(hits > 70 && hits < 130, `${hits} of 1000 for a share of 0.1`);
    assert.equal(await run(0.1), tenth);
    assert.equal(await run(0), "-".repeat(1000));
    assert.equal(await run(1), "x".repeat(1000));
  });
});

describe("what goes wrong", () => {
  test("late by so much, and the call goes on", async () => {
    const { chaos, clock, ctx, order, asked } = bed();
    chaos.inject({ latencyMs: 200 });
    const call = order(ctx, "asked");
    await clock.advance(199);
    assert.deepEqual(asked, []);
    await clock.advance(1);
    assert.equal(await call, "asked");
  });

  test("latencies add up, and are drawn", async () => {
    const { chaos, clock, ctx, order } = bed();
    chaos.inject({ latencyMs: 100 });
    chaos.inject({ latencyMs: uniform(10, 20), at: "response" });
    const times = new Set<number>();
    for (let i = 0; i < 20; i++) times.add(await taken(clock, order(ctx, 1)));
    for (const ms of times) assert.ok(ms >= 110 && ms <= 120, `${ms}`);
    assert.ok(times.size > 10);
  });

  test("the deadline ends the wait", async () => {
    const { chaos, clock, ctx, order, asked } = bed();
    chaos.inject({ latencyMs: 500 });
    const failed = failureOf(order(withTimeout(ctx, 100), 1));
    const ms = await taken(clock, failed);
    assert.equal((await failed).code, "deadline_exceeded");
    assert.ok(ms <= 105, `${ms}`);
    assert.deepEqual(asked, []);
    assert.equal(clock.pending, 0);
  });

  test("an error with a code says that it was injected; a function makes any other, anew each time", async () => {
    const { chaos, ctx, order } = bed();
    const coded = chaos.inject({ error: "resource_exhausted" });
    const error = await failureOf(order(ctx, 1));
    assert.equal(error.code, "resource_exhausted");
    assert.match(error.message, /test\.v1\.Shop\/order fails, as a fault injected says/);
    assert.equal(findDetail<ErrorInfo>(error, detailTypes.errorInfo)?.reason, FAULT_INJECTED);
    assert.equal(error.retry, undefined);
    coded.heal();
    chaos.inject({ error: ({ name }) => new ServiceError("unavailable", `no ${name}`, { retry: { afterMs: 50 } }) });
    const [first, second] = [await failureOf(order(ctx, 1)), await failureOf(order(ctx, 1))];
    assert.deepEqual([first.message, first.retry], ["no order", { afterMs: 50 }]);
    assert.notEqual(first, second);
  });

  test("aborted: as if the connection had broken", async () => {
    const { chaos, ctx, order, asked } = bed();
    chaos.inject({ abort: true });
    const error = await failureOf(order(ctx, 1));
    assert.deepEqual([error.code, error.retry?.unprocessed], ["unavailable", undefined]);
    assert.match(error.message, /lost the connection/);
    assert.deepEqual(asked, []);
  });

  test("a blackhole answers when the context ends, and not before", async () => {
    const { chaos, clock, ctx, order, asked } = bed();
    const fault = chaos.inject({ blackhole: true });
    const failed = failureOf(order(withTimeout(ctx, 300), 1));
    const ms = await taken(clock, failed);
    assert.equal((await failed).code, "deadline_exceeded");
    assert.ok(ms >= 300 && ms <= 305, `${ms}`);
    const cancelled = withCancel(ctx);
    const waiting = failureOf(order(cancelled, 1));
    cancelled.cancel();
    assert.equal((await waiting).code, "canceled");
    assert.equal((await failureOf(order(cancelled, 1))).code, "canceled");
    assert.equal(fault.hits, 3);
    assert.deepEqual(asked, []);
    assert.equal(clock.pending, 0);
  });

  test("healed, what was held goes on", async () => {
    const { chaos, clock, ctx, order, asked } = bed();
    chaos.inject({ blackhole: true });
    const calls = [order(ctx, 1), order(ctx, 2)];
    await clock.advance(60_000);
    assert.deepEqual(asked, []);
    chaos.heal();
    assert.deepEqual(await Promise.all(calls), [1, 2]);
  });

  test("healed while a call is late: it is late, but does not fail", async () => {
    const { chaos, clock, ctx, order } = bed();
    const fault = chaos.inject({ latencyMs: 100, error: "internal" });
    const call = order(ctx, 1);
    await clock.advance(50);
    fault.heal();
    await clock.advance(50);
    assert.equal(await call, 1);
  });

  test("on the way back: the work is done, and nobody hears of it", async () => {
    const { chaos, ctx, order, pay, asked } = bed();
    const lost = chaos.inject({ methods: ["order"], at: "response", abort: true });
    assert.equal((await failureOf(order(ctx, 1))).code, "unavailable");
    assert.deepEqual(asked, ["order"]);
    lost.heal();
    const hanging = chaos.inject({ at: "response", blackhole: true });
    const call = pay(ctx, "paid");
    await Promise.resolve();
    assert.deepEqual(asked, ["order", "pay"]);
    hanging.heal();
    assert.equal(await call, "paid");
  });
});

describe("streams", () => {
  test("fail before they begin", async () => {
    const { chaos, ctx, watch, fill, asked } = bed();
    chaos.inject({ error: "unavailable" });
    assert.equal((await failureOf(watch(ctx, { n: 3 }))).code, "unavailable");
    assert.equal((await failureOf(fill(ctx, {}))).code, "unavailable");
    assert.deepEqual(asked, []);
  });

  test("end in between, and the handler is told", async () => {
    const { chaos, ctx, watch, closed } = bed();
    const fault = chaos.inject({ at: "response", afterMessages: 2, error: "data_loss" });
    const seen: number[] = [];
    const failed = await failureOf(
      (async () => {
        for await (const n of await watch(ctx, { n: 5 })) seen.push(n);
      })(),
    );
    assert.equal(failed.code, "data_loss");
    assert.deepEqual(seen, [1, 2]);
    assert.equal(closed(), 1);
    assert.deepEqual(await readAll(await watch(ctx, { n: 1 })), [1]);
    assert.equal(fault.hits, 1);
  });

  test("the end counts as the message after the last", async () => {
    const { chaos, ctx, watch } = bed();
    chaos.inject({ at: "response", afterMessages: 2, error: "data_loss" });
    assert.equal((await failureOf(watch(ctx, { n: 2 }).then(readAll))).code, "data_loss");
  });

  test("each message is late, and the call counts once", async () => {
    const { chaos, clock, ctx, watch } = bed();
    const fault = chaos.inject({ at: "response", afterMessages: 1, latencyMs: 100 });
    const at: number[] = [];
    const read = (async () => {
      for await (const _ of await watch(ctx, { n: 3 })) at.push(clock.now());
    })();
    await pass(clock, read);
    assert.deepEqual(at, [0, 100, 200]);
    assert.equal(clock.now(), 300);
    assert.equal(fault.hits, 1);
  });

  test("hang in between until the context ends", async () => {
    const { chaos, clock, ctx, watch, closed } = bed();
    chaos.inject({ at: "response", afterMessages: 1, blackhole: true });
    const scope: Context = withTimeout(ctx, 100);
    const read = failureOf(watch(scope, { n: 3 }).then(readAll));
    await pass(clock, read);
    assert.equal((await read).code, "deadline_exceeded");
    assert.equal(closed(), 1);
  });
});

test("what is no fault is refused, by name", () => {
  const chaos = faults();
  const wrong: [CallFault, RegExp][] = [
    [{}, /nothing goes wrong: give latencyMs, error, abort or blackhole/],
    [{ share: 0.5 }, /nothing goes wrong/],
    [{ error: "broken" as never }, /error must be a code or a function, got "broken"/],
    [{ latencyMs: -1 }, /latencyMs must be 0 or more/],
    [{ latencyMs: Number.NaN }, /latencyMs/],
    [{ abort: true, share: 1.5 }, /share must be from 0 to 1, got 1.5/],
    [{ abort: true, blackhole: true }, /one way: abort or blackhole/],
    [{ abort: true, error: "internal" }, /one way: error or abort/],
    [{ abort: true, at: "answer" as never }, /at must be "request" or "response", got "answer"/],
    [{ abort: true, afterMessages: 1 }, /afterMessages counts responses/],
    [{ abort: true, at: "response", afterMessages: 0.5 }, /afterMessages must be a whole number/],
    [{ abort: true, methods: [] }, /methods is empty/],
  ];
  for (const [fault, why] of wrong) assert.throws(() => chaos.inject(fault), why, JSON.stringify(fault));
  assert.deepEqual(chaos.active, []);
  for (let i = 0; i < 100; i++) chaos.inject({ abort: true });
  assert.throws(() => chaos.inject({ abort: true }), /there are 100 already/);
});
