import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { leastRequest } from "../balance/least-request.ts";
import { roundRobin } from "../balance/round-robin.ts";
import { seededRandom } from "../clock/random.ts";
import { pass } from "../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { sleep } from "../context/sleep.ts";
import { background, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import { detailTypes, type ErrorInfo, errorInfo, findDetail } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { circuitBreaker } from "../resilience/breaker/circuit-breaker.ts";
import { consecutive } from "../resilience/breaker/trip.ts";
import { OVERLOADED, refusal } from "../resilience/refusal.ts";
import { RetryBudget } from "../resilience/retry-budget.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf } from "../testing/transport-bed.ts";
import { memory } from "../transport/memory/memory.ts";
import { type ChannelOptions, channel, client } from "./channel.ts";
import { clientDefaults, serverDefaults } from "./defaults.ts";
import { host } from "./host.ts";
import { implement } from "./implement.ts";
import { FakeConnector } from "./test-fixtures/fake-connector.ts";

const message = z.object({ n: z.number() });
const Calc = contract("calc.v1.Calc", {
  get: unary({ input: message, output: message, idempotent: true }),
  add: unary({ input: message, output: message }),
});
const one = { n: 1 };

function bed(options: Partial<ChannelOptions> = {}, n = 3) {
  const clock = new VirtualClock();
  const registry = new TestRegistry();
  registry.set(
    Calc.name,
    Array.from({ length: n }, (_, i) => `fake://${i}`),
  );
  const transport = new FakeConnector();
  const way = channel({
    discover: registry,
    transport,
    clock,
    random: seededRandom(7),
    balance: roundRobin(),
    ...options,
  });
  return { clock, ctx: background(clock), registry, transport, way, calc: client(Calc, way) };
}

const names = (stack: readonly Middleware[]): string[] =>
  stack.map((middleware) => middleware(async () => one as never, Calc.methods[0]!).name);

describe("what stands around a call by default", () => {
  test("of a client: deadline, throttle, retry, deadline check, and hedge when asked for", () => {
    assert.deepEqual(names(clientDefaults()), ["withDeadline", "throttled", "retrying", "checkingDeadline"]);
    assert.deepEqual(names(clientDefaults({ hedge: {} })), [
      "withDeadline",
      "throttled",
      "retrying",
      "hedged",
      "checkingDeadline",
    ]);
    assert.deepEqual(
      names(clientDefaults({ timeoutMs: false, throttle: false, retry: false, deadlineCheck: false })),
      [],
    );
  });

  test("of a server: a deadline check, and within it a limit, each of which can be left out", () => {
    assert.deepEqual(names(serverDefaults()), ["checkingDeadline", "limited"]);
    assert.deepEqual(names(serverDefaults({ limit: false })), ["checkingDeadline"]);
    assert.deepEqual(names(serverDefaults({ deadlineCheck: false })), ["limited"]);
  });

  test("the deadline bounds the waits between retries", async () => {
    const { clock, calc, ctx, transport } = bed({ timeoutMs: 100, retry: { baseMs: 10_000, maxMs: 10_000 } });
    transport.answer = () => {
      throw new ServiceError("unavailable", "busy");
    };
    const error = await pass(clock, failureOf(calc.get(ctx, one)));
    assert.equal(error.code, "unavailable");
    assert.ok(clock.now() <= 100);
  });

  test("a call held back by the throttle is not tried again", async () => {
    const { clock, calc, ctx, transport } = bed({ throttle: { floor: 0, maxRefusing: 0.99 }, retry: { baseMs: 0 } });
    transport.answer = () => {
      throw new ServiceError("resource_exhausted", "no more");
    };
    for (let i = 0; i < 300; i++) await pass(clock, failureOf(calc.get(ctx, one)));
    const sent = (): number => Object.values(transport.calls).reduce((a, b) => a + b, 0);
    const before = sent();
    let held = 0;
    for (let i = 0; i < 100; i++) {
      const error = await pass(clock, failureOf(calc.get(ctx, one)));
      if (findDetail<ErrorInfo>(error, detailTypes.errorInfo)?.reason === "CLIENT_THROTTLED") held++;
    }
    assert.ok(held > 80);
    assert.equal(sent() - before, 100 - held);
  });

  test("a host refuses what is too much, and says so; the limit can be left out", async () => {
    for (const limited of [true, false]) {
      const warnings: string[] = [];
      const clock = new VirtualClock();
      const net = memory();
      const running = await host({
        name: "calc",
        serve: [
          implement(Calc, {
            get: (ctx, request) => new Promise((r) => void ctx.clock.schedule(50, () => r(request))),
            add: async () => one,
          }),
        ],
        listen: [net.listener("calc")],
        use: serverDefaults({ clock, limit: limited && { limit: 1, maxQueued: 0 } }),
        admin: false,
        clock,
        onEvent: ({ event, message }) => void (event === "warning" && warnings.push(message)),
      }).start();
      const calc = client(Calc, { discover: ["memory://calc"], transport: net, clock, retry: false });
      const ctx = background(clock);
      const outcomes = Promise.allSettled([calc.get(ctx, one), calc.get(ctx, one)]);
      const [, second] = await pass(clock, outcomes);
      assert.equal(second.status, limited ? "rejected" : "fulfilled");
      if (second.status === "rejected") assert.match(String(second.reason), /overloaded: 1 calls are in flight/);
      assert.deepEqual(
        warnings,
        limited ? ["overload: calls are refused with 1 allowed at a time: 1 calls are in flight and 0 wait"] : [],
      );
      await pass(clock, running.stop());
      await calc[Symbol.asyncDispose]();
    }
  });
});

describe("an attempt that cannot be in time", () => {
  /** After twenty calls of 30 ms, and one for which there were 5, which was the probe: what calls take is known. */
  async function learned(options: Partial<ChannelOptions> = {}) {
    const made = bed({ throttle: false, ...options });
    const { clock, calc, ctx, transport } = made;
    transport.answer = async (_address, inner, request) => {
      await sleep(inner, 30);
      return request;
    };
    for (let i = 0; i < 20; i++) await pass(clock, calc.get(ctx, one));
    await pass(clock, failureOf(calc.get(withTimeout(ctx, 5), one)));
    return { ...made, sent: (): number => Object.values(transport.calls).reduce((a, b) => a + b, 0) };
  }

  test("is not sent", async () => {
    const { clock, calc, ctx, sent } = await learned();
    const before = sent();
    const error = await pass(clock, failureOf(calc.get(withTimeout(ctx, 25), one)));
    assert.equal(error.code, "deadline_exceeded");
    assert.equal(findDetail<ErrorInfo>(error, detailTypes.errorInfo)?.reason, "DEADLINE_TOO_NEAR");
    assert.equal(sent(), before);
    assert.deepEqual(await pass(clock, calc.get(withTimeout(ctx, 35), one)), one);
  });

  test("is no retry: the call fails with what failed before", async () => {
    const { clock, calc, ctx, transport, sent } = await learned();
    const before = sent();
    transport.answer = () =>
      new Promise((_, reject) => void clock.schedule(20, () => reject(new ServiceError("unavailable", "busy"))));
    const error = await pass(clock, failureOf(calc.get(withTimeout(ctx, 45), one)));
    assert.equal(sent(), before + 1);
    assert.deepEqual([error.code, error.message, error.retry?.never], ["unavailable", "busy", true]);
    assert.equal(error.attempts?.length, 1);
  });

  test("is no hedge, and does not end the attempt that runs", async () => {
    const budget = new RetryBudget({ floor: 100 });
    const { clock, calc, ctx, sent } = await learned({ hedge: { delayMs: 20, budget } });
    const before = sent();
    assert.deepEqual(await pass(clock, calc.get(withTimeout(ctx, 40), one)), one);
    assert.equal(sent(), before + 1);
  });

  test("is no fault of an instance, nor of a circuit, when a server says so", async () => {
    const breaker = circuitBreaker({ trip: consecutive(2) });
    const { clock, calc, ctx, transport } = bed({ retry: false, perInstance: () => [breaker] });
    transport.answer = (address, _ctx, request) => {
      if (address !== "fake://0") return request;
      throw new ServiceError("deadline_exceeded", "too little time", {
        details: [errorInfo({ reason: "DEADLINE_TOO_NEAR", domain: "flotilla.dev" })],
      });
    };
    for (let i = 0; i < 60; i++)
      await pass(
        clock,
        calc.get(ctx, one).catch(() => {}),
      );
    assert.equal(transport.calls["fake://0"], 20);
    assert.equal(breaker.breakers[0]!.state, "closed");
  });
});

describe("of several attempts", () => {
  test("the error lists each with its instance, another one each time", async () => {
    const { clock, calc, ctx, transport } = bed();
    transport.answer = (address) => {
      throw new ServiceError("unavailable", `busy at ${address}`);
    };
    const error = await pass(clock, failureOf(calc.get(ctx, one)));
    assert.equal(error.attempts?.length, 3);
    for (const { address, message: said } of error.attempts ?? []) assert.equal(said, `busy at ${address}`);
    assert.equal(new Set(error.attempts?.map(({ address }) => address)).size, 3);
  });

  test("a hedge goes to another instance", async () => {
    const { clock, calc, ctx, transport } = bed({ hedge: { delayMs: 20 } });
    transport.answer = (address, inner, request) =>
      address === "fake://0"
        ? new Promise((_, reject) => inner.signal.addEventListener("abort", () => reject(inner.err)))
        : request;
    for (let i = 0; i < 6; i++) assert.deepEqual(await pass(clock, calc.get(ctx, one)), one);
    assert.ok(transport.calls["fake://0"]! >= 1);
  });

  test("no attempt outlives the call", async () => {
    const { clock, calc, ctx, transport } = bed({ retry: { perTryTimeoutMs: 80 } });
    let running = 0;
    transport.answer = (_address, inner) =>
      new Promise((_, reject) => {
        running++;
        inner.signal.addEventListener("abort", () => {
          running--;
          reject(inner.err);
        });
      });
    const startedMs = clock.now();
    const error = await pass(clock, failureOf(calc.get(withTimeout(ctx, 100), one)));
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(clock.now() - startedMs <= 105);
    assert.equal(running, 0);
  });
});

describe("instances that fail", () => {
  /** Ten instances, of which the first fails at once. */
  async function sinkhole(options: Partial<ChannelOptions>) {
    const { clock, calc, ctx, transport } = bed({ retry: false, ...options }, 10);
    transport.answer = (address, _ctx, request) => {
      if (address === "fake://0") throw new ServiceError("internal", "broken");
      return new Promise((resolve) => void clock.schedule(20, () => resolve(request)));
    };
    let calls = 0;
    let errors = 0;
    const call = (): void => {
      calls++;
      calc.get(ctx, one).catch(() => errors++);
    };
    for (let i = 0; i < 8000; i++) {
      call();
      await clock.run(1);
    }
    return errors / calls;
  }

  test("one of ten that fails at once costs next to nothing, by whatever balancer", async () => {
    assert.ok((await sinkhole({ ejection: false })) > 0.09);
    assert.ok((await sinkhole({})) <= 0.001);
    assert.ok((await sinkhole({ balance: leastRequest() })) <= 0.001);
  });

  test("those that are out are counted as down, and come back", async () => {
    const events: LifecycleEvent[] = [];
    const { clock, calc, ctx, transport, registry } = bed({
      retry: false,
      ejection: { ejectionMs: 1000 },
      onEvent: (event) => events.push(event),
    });
    transport.answer = (address, _ctx, request) => {
      if (address === "fake://0") throw new ServiceError("internal", "broken");
      return request;
    };
    for (let i = 0; i < 30; i++)
      await pass(
        clock,
        calc.get(ctx, one).catch(() => {}),
      );
    const before = transport.calls["fake://0"]!;
    assert.equal(before, 5);
    for (let i = 0; i < 30; i++)
      await pass(
        clock,
        calc.get(ctx, one).catch(() => {}),
      );
    assert.equal(transport.calls["fake://0"], before);
    transport.answer = (_address, _ctx, request) => request;
    await clock.advance(1200);
    for (let i = 0; i < 30; i++) await pass(clock, calc.get(ctx, one));
    assert.equal(transport.calls["fake://0"], before + 10);
    assert.equal(registry.instances(Calc.name).length, 3);
    assert.deepEqual(
      events.map((event) => ({ ...event, message: event.message.replace(/\d\.\d s/, "1 s") })),
      [
        {
          event: "warning",
          host: undefined,
          message: "fake://0 of calc.v1.Calc is out of the balance for 1 s: 5 calls in a row failed",
        },
        { event: "notice", host: undefined, message: "fake://0 of calc.v1.Calc is back in the balance" },
      ],
    );
  });

  test("overload and quota are no fault of an instance, nor is what the caller did wrong", async () => {
    for (const code of ["resource_exhausted", "invalid_argument", "not_found", "canceled"] as const) {
      const { clock, calc, ctx, transport } = bed({ retry: false, throttle: false });
      transport.answer = (address, _ctx, request) => {
        if (address === "fake://0") throw new ServiceError(code, "not now");
        return request;
      };
      for (let i = 0; i < 60; i++)
        await pass(
          clock,
          calc.get(ctx, one).catch(() => {}),
        );
      assert.equal(transport.calls["fake://0"], 20, code);
    }
  });

  /** Of two instances the first has timed out five times, and is out; the other then refuses for overload. Calls that reach the first in 20 s. */
  async function lastResort(first: "well again" | "broken"): Promise<number> {
    const { clock, calc, ctx, transport } = bed({ retry: false, throttle: false }, 2);
    let hanging = true;
    transport.answer = (address, inner, request) => {
      if (address === "fake://1" && hanging) return request;
      if (address === "fake://1") throw refusal("unavailable", OVERLOADED, "overloaded", {});
      if (hanging) return sleep(inner, 60_000);
      if (first === "broken") throw new ServiceError("internal", "broken");
      return request;
    };
    const call = (): void => void calc.get(withTimeout(ctx, 50), one).catch(() => {});
    for (let i = 0; i < 20; i++) {
      call();
      await clock.advance(100);
    }
    assert.equal(transport.calls["fake://0"], 5);
    hanging = false;
    for (let i = 0; i < 200; i++) {
      call();
      await clock.advance(100);
    }
    return transport.calls["fake://0"] - 5;
  }

  test("one that is out is tried when the others have too much to do, and back at once when it is well", async () => {
    const calls = await lastResort("well again");
    assert.ok(calls >= 95, `${calls} of 200 calls`);
  });

  test("one that is out and fails gets a call a second, whatever the others refuse", async () => {
    const calls = await lastResort("broken");
    assert.ok(calls >= 18 && calls <= 21, `${calls} calls in 20 s`);
  });

  test("one that is out is not tried by a call that has just failed on it", async () => {
    const { clock, calc, ctx, transport } = bed(
      { throttle: false, slowStart: false, ejection: { maxShare: 0.5 }, retry: { baseMs: 0.001 } },
      5,
    );
    let asked: string[] = [];
    const answers = new Map<string, () => unknown>();
    transport.answer = (address, _ctx, request) => {
      asked.push(address);
      return answers.get(address)?.() ?? request;
    };
    const calls = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) {
        asked = [];
        await pass(
          clock,
          calc.get(ctx, one).catch(() => {}),
        );
        assert.equal(new Set(asked).size, asked.length, asked.join());
      }
    };
    await calls(100);
    // The first is out, and cannot be tried: it is busy with a call from before.
    answers.set("fake://0", () => new Promise(() => {}));
    for (let i = 0; i < 5; i++) calc.get(ctx, one).catch(() => {});
    await clock.advance(1);
    answers.set("fake://0", () => {
      throw new ServiceError("internal", "broken");
    });
    await calls(30);
    // The second has too much to do, so that one that is out is wanted; then the third fails, and is out.
    answers.set("fake://1", () => {
      throw refusal("unavailable", OVERLOADED, "overloaded", {});
    });
    await calls(5);
    answers.set("fake://2", () => {
      throw new ServiceError("unavailable", "broken");
    });
    await calls(30);
    const before = transport.calls["fake://2"];
    await calls(10);
    assert.ok(transport.calls["fake://2"]! - before! <= 1, "it is out");
  });

  test("when fewer than half are left, all are used: better that some calls fail than that the few drown", async () => {
    const { clock, calc, ctx, transport } = bed(
      { retry: false, throttle: false, slowStart: false, ejection: { maxShare: 1 } },
      4,
    );
    let broken = 0;
    transport.answer = (address, _ctx, request) => {
      if (Number(address.at(-1)) < broken) throw new ServiceError("internal", "broken");
      return request;
    };
    const calls = async (n: number): Promise<number[]> => {
      const before = { ...transport.calls };
      for (let i = 0; i < n; i++)
        await pass(
          clock,
          calc.get(ctx, one).catch(() => {}),
        );
      return [0, 1, 2, 3].map((i) => transport.calls[`fake://${i}`]! - (before[`fake://${i}`] ?? 0));
    };
    await calls(400);
    for (const shares of [
      [0, 20, 20, 20],
      [0, 0, 30, 30],
      [15, 15, 15, 15],
    ]) {
      broken++;
      await calls(40);
      assert.deepEqual(await calls(60), shares);
    }
  });

  test("those that do not answer at all are left alone but for a call now and then, however many they are", async () => {
    const { clock, calc, ctx, transport } = bed(
      { retry: false, throttle: false, ejection: false, slowStart: false },
      4,
    );
    let parted = false;
    transport.answer = (address, inner, request) => (parted && address !== "fake://0" ? sleep(inner, 60_000) : request);
    let failed = 0;
    const run = async (ms: number): Promise<void> => {
      failed = 0;
      for (let i = 0; i < ms / 10; i++) {
        calc.get(withTimeout(ctx, 50), one).catch(() => failed++);
        await clock.advance(10);
      }
    };
    await run(1000);
    parted = true;
    await run(4000);
    await run(10_000);
    assert.ok(failed > 0 && failed <= 30, `${failed} of 1000 calls failed`);
    parted = false;
    await run(5000);
    const before = transport.calls["fake://1"]!;
    await run(1000);
    assert.equal(failed, 0);
    assert.equal(transport.calls["fake://1"]! - before, 25);
  });

  test("those that do not answer are used as ever while the others have too much to do", async () => {
    const { clock, calc, ctx, transport } = bed({ retry: false, throttle: false, ejection: false }, 2);
    transport.answer = (address, inner, request) => {
      if (address === "fake://0") return sleep(inner, 60_000);
      if (clock.now() > 6000) throw refusal("unavailable", OVERLOADED, "overloaded", {});
      return request;
    };
    let before = 0;
    for (let i = 0; i < 1200; i++) {
      calc.get(withTimeout(ctx, 50), one).catch(() => {});
      await clock.advance(10);
      if (i === 700) before = transport.calls["fake://0"]!;
    }
    assert.ok(before < 220, `${before} of 700 calls`);
    const later = transport.calls["fake://0"]! - before;
    assert.ok(later >= 240, `${later} of 500 calls`);
  });

  test("a circuit that is open costs no attempt: most instances may be out, and calls not be tried again", async () => {
    const { clock, calc, ctx, transport } = bed({
      ejection: false,
      retry: false,
      perInstance: () => [circuitBreaker({ trip: consecutive(1), openMs: 60_000 })],
    });
    transport.answer = (address, _ctx, request) => {
      if (address !== "fake://2") throw new ServiceError("unavailable", "broken");
      return request;
    };
    const failed: (string | undefined)[] = [];
    for (let i = 0; i < 100; i++)
      await pass(
        clock,
        calc.get(ctx, one).catch((error: unknown) => failed.push(ServiceError.from(error).reason)),
      );
    assert.deepEqual(failed, [undefined, undefined], "once each, for real");
  });

  test("what is perAttempt meets each of them, within the deadline of the call", async () => {
    let attempts = 0;
    const waits: Middleware = (next) => async (ctx, request) => {
      attempts++;
      await sleep(ctx, 30);
      return next(ctx, request);
    };
    const { clock, calc, ctx, transport } = bed({ timeoutMs: 100, perAttempt: [waits], retry: { baseMs: 0 } });
    transport.answer = () => {
      throw new ServiceError("unavailable", "broken");
    };
    const began = clock.now();
    await pass(clock, failureOf(calc.get(ctx, one)));
    assert.equal(attempts, 3);
    assert.ok(clock.now() - began <= 105, `${clock.now() - began} ms`);
  });

  test("a breaker an instance: what it refuses goes elsewhere", async () => {
    const breakers = new Map<string, ReturnType<typeof circuitBreaker>>();
    const events: string[] = [];
    const { clock, calc, ctx, transport } = bed({
      ejection: false,
      onEvent: ({ message }) => void events.push(message),
      perInstance: ({ address }) => {
        const breaker = circuitBreaker({ trip: consecutive(2), openMs: 60_000 });
        breakers.set(address, breaker);
        return [breaker];
      },
    });
    transport.answer = (address, _ctx, request) => {
      if (address === "fake://0") throw new ServiceError("unavailable", "broken");
      return request;
    };
    for (let i = 0; i < 60; i++) assert.deepEqual(await pass(clock, calc.get(ctx, one)), one);
    assert.equal(breakers.size, 3);
    assert.equal(breakers.get("fake://0")!.breakers[0]!.state, "open");
    assert.equal(transport.calls["fake://0"], 2);
    assert.equal(events.length, 1);
    assert.match(
      events[0]!,
      /^fake:\/\/0: the circuit of calc\.v1\.Calc\/get opens: 2 calls in a row failed; next probe in /,
    );
  });
});
