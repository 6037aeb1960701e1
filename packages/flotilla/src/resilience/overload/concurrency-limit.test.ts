import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { LoopClock } from "../../clock/test-fixtures/loop-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type Priority, withPriority } from "../../metadata/priority.ts";
import { adaptiveLimit } from "./adaptive-limit.ts";
import { type ConcurrencyLimit, type ConcurrencyLimitOptions, concurrencyLimit } from "./concurrency-limit.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { one: unary(io), many: serverStream(io) });
const [one, many] = methods as [(typeof methods)[0], (typeof methods)[0]];

/** A limited endpoint whose calls end when the test says so. */
function bed(options: ConcurrencyLimitOptions = {}, method = one) {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const running: { name: unknown; end: (value?: unknown) => void; fail: (error: unknown) => void }[] = [];
  const started: unknown[] = [];
  const endpoint: Endpoint = (_ctx, name) => {
    started.push(name);
    return new Promise((end, fail) => void running.push({ name, end, fail }));
  };
  const limit = concurrencyLimit({ limit: 1, clock, ...options });
  const limited = limit(endpoint, method);
  const outcomes: Record<string, string> = {};
  const call = (name: string, priority: Priority = "default", under: Context = ctx): void => {
    limited(withPriority(under, priority), name).then(
      () => (outcomes[name] = "ok"),
      (error: unknown) => (outcomes[name] = (error as ServiceError).message ?? String(error)),
    );
  };
  return { clock, ctx, limit, limited, call, running, started, outcomes, settle: () => clock.advance(0) };
}

describe("room", () => {
  test("so many at a time; the next goes in when one has ended, well or not", async () => {
    const { call, running, started, settle, limit } = bed({ limit: 2 });
    for (const name of ["a", "b", "c", "d"]) call(name);
    await settle();
    assert.deepEqual(started, ["a", "b"]);
    assert.deepEqual(limit.state, {
      limit: 2,
      inFlight: 2,
      queued: 2,
      refused: { critical: 0, default: 0, sheddable: 0 },
    });
    running[0]!.end();
    await settle();
    assert.deepEqual(started, ["a", "b", "c"]);
    running[1]!.fail(new Error("broken"));
    await settle();
    assert.deepEqual(started, ["a", "b", "c", "d"]);
    for (const { end } of running) end();
    await settle();
    assert.equal(limit.state.inFlight, 0);
  });

  test("an endpoint that throws at once gives its room back", async () => {
    const limit = concurrencyLimit({ limit: 1, clock: new VirtualClock() });
    const broken: Endpoint = () => {
      throw new Error("at once");
    };
    const limited = limit(broken, one);
    for (let i = 0; i < 3; i++) assert.throws(() => limited(background(), {}), /at once/);
    assert.equal(limit.state.inFlight, 0);
  });

  test("all methods it is put around share it", async () => {
    const { limit, call, settle } = bed();
    const other = limit(async () => "other", one);
    call("a");
    let over = false;
    void other(background(), {}).then(() => (over = true));
    await settle();
    assert.equal(over, false);
  });

  test("streams do not count unless asked for", () => {
    const endpoint: Endpoint = async () => "ok";
    assert.equal(concurrencyLimit()(endpoint, many), endpoint);
  });

  test("an adaptive limit learns from the head of what a proxy passes on, however long the rest takes", async () => {
    for (const beginsAtOnce of [true, false]) {
      const clock = new VirtualClock();
      const limit = concurrencyLimit({ clock, streams: true, limit: adaptiveLimit({ initial: 10 }), maxQueued: 0 });
      const after = (ms: number): Promise<void> => new Promise((resolve) => void clock.schedule(ms, resolve));
      const passing: Endpoint<unknown, AsyncIterable<number>> = async function () {
        await after(5);
        return (async function* () {
          yield 1;
          await after(1000 * (1 + (clock.now() % 7)));
        })();
      };
      const limited = limit(passing, { ...many, beginsAtOnce });
      const read = async (): Promise<void> => {
        for await (const _ of await limited(background(clock), {}));
      };
      for (let i = 0; i < 1500; i++) {
        read().catch(() => {});
        await clock.run(10);
      }
      assert.ok(beginsAtOnce ? limit.state.limit > 40 : limit.state.limit === 10, `${limit.state.limit}`);
      await clock.run(10_000);
      assert.equal(limit.state.inFlight, 0);
    }
  });

  test("where streams count, one does until it ends, is left, or never was", async () => {
    const { limit, limited, running, ctx, settle } = bed({ streams: true }, many);
    const opened = limited(ctx, "a");
    running[0]!.end(
      (async function* () {
        yield 1;
        yield 2;
      })(),
    );
    const stream = (await opened) as AsyncIterable<number>;
    assert.equal(limit.state.inFlight, 1);
    for await (const _ of stream) break;
    assert.equal(limit.state.inFlight, 0);
    const scope = withCancel(ctx);
    const unread = limited(scope, "unread");
    running[1]!.end((async function* () {})());
    await unread;
    assert.equal(limit.state.inFlight, 1);
    scope.cancel();
    await settle();
    assert.equal(limit.state.inFlight, 0, "with the end of its call, though nobody read it");
    const failed = limited(ctx, "b");
    running[2]!.fail(new ServiceError("not_found", "none"));
    await assert.rejects(failed);
    await settle();
    assert.equal(limit.state.inFlight, 0);
  });
});

describe("waiting", () => {
  test("the most important goes first, among equals the first, while the queue is short-lived", async () => {
    const { call, running, started, settle } = bed();
    call("running");
    call("s", "sheddable");
    call("d1");
    call("c", "critical");
    call("d2");
    for (let i = 0; i < 5; i++) {
      await settle();
      running[i]!.end();
    }
    await settle();
    assert.deepEqual(started, ["running", "c", "d1", "d2", "s"]);
  });

  test("who has waited while many others were served is refused; then the newest goes first, and what is critical in its order", async () => {
    const { call, running, started, outcomes, clock, settle, limit } = bed({ intervalMs: 100 });
    call("running");
    call("old", "sheddable");
    let served = 0;
    // Others that matter more go before it, all the time.
    for (; served <= 61; served++) {
      call(`default ${served}`);
      await clock.advance(2);
      running[served]!.end();
      await settle();
    }
    call("next");
    await settle();
    assert.match(outcomes["old"]!, /overloaded: the call has waited \d+ ms/);
    assert.equal(limit.state.refused.sheddable, 1);
    call("newest");
    call("critical", "critical");
    await settle();
    running[served]!.end();
    await settle();
    running[served + 1]!.end();
    await settle();
    assert.deepEqual(started.slice(-2), ["critical", "newest"]);
  });

  test("in overload no more than 30 wait that are not critical; what is critical waits as long as its caller does", async () => {
    const { ctx, call, running, outcomes, clock, settle, limit } = bed({ maxQueued: 100 });
    call("running");
    // Has waited in vain: it is overload.
    call("gave up", "default", withTimeout(ctx, 150));
    await clock.advance(160);
    for (let i = 0; i < 40; i++) call(`default ${i}`);
    await settle();
    assert.equal(limit.state.queued, 30);
    assert.deepEqual(limit.state.refused, { critical: 0, default: 10, sheddable: 0 });
    for (let i = 0; i < 40; i++) call(`critical ${i}`, "critical");
    await settle();
    assert.equal(limit.state.queued, 70);
    for (let i = 0; i <= 40; i++) {
      await clock.advance(10);
      running[i]!.end();
      await settle();
    }
    for (let i = 0; i < 40; i++) assert.equal(outcomes[`critical ${i}`], "ok");
    assert.equal(limit.state.refused.critical, 0);
  });

  test("a full line gives up the oldest of the least important for one no less important", async () => {
    const { call, outcomes, settle } = bed({ maxQueued: 2 });
    call("running");
    call("c", "critical");
    call("d1");
    call("d2");
    call("s", "sheddable");
    await settle();
    assert.match(outcomes["d1"]!, /took its place/);
    assert.match(outcomes["s"]!, /overloaded: 1 calls are in flight and 2 wait/);
    assert.equal(outcomes["d2"], undefined);
    call("c2", "critical");
    await settle();
    assert.match(outcomes["d2"]!, /took its place/);
  });

  test("nobody waits where nobody may", async () => {
    const { call, outcomes, settle } = bed({ maxQueued: 0 });
    call("a");
    call("b", "critical");
    await settle();
    assert.match(outcomes["b"]!, /overloaded/);
  });

  test("who gives up leaves the line at once, and nothing is left behind", async () => {
    const { ctx, call, outcomes, running, started, clock, limit, settle } = bed();
    call("running");
    const scope = withCancel(ctx);
    call("gone", "default", scope);
    call("late", "critical", withTimeout(ctx, 10));
    scope.cancel();
    await settle();
    assert.equal(outcomes["gone"], "the call was canceled");
    await clock.advance(20);
    assert.equal(outcomes["late"], "deadline exceeded");
    assert.equal(limit.state.queued, 0);
    running[0]!.end();
    await settle();
    assert.deepEqual(started, ["running"]);
    assert.equal(limit.state.inFlight, 0);
    assert.equal(clock.pending, 0);
  });
});

describe("refusals", () => {
  test("say why, in words and for programs; those of a client reached nobody", async () => {
    for (const side of ["server", "client"] as const) {
      const { limited, ctx, call } = bed({ maxQueued: 0, side });
      call("a");
      const error = (await limited(ctx, "b").catch((thrown: unknown) => thrown)) as ServiceError;
      assert.equal(error.code, "unavailable");
      assert.deepEqual(findDetail(error, "google.rpc.ErrorInfo"), { reason: "OVERLOADED", domain: "flotilla.dev" });
      assert.equal(error.retry?.unprocessed === true, side === "client");
    }
  });

  test("options that are not legal are refused, by name", () => {
    assert.throws(() => concurrencyLimit({ limit: 0 }), /concurrencyLimit: limit/);
    assert.throws(() => concurrencyLimit({ limit: 1.5 }), /concurrencyLimit: limit/);
    assert.throws(() => concurrencyLimit({ maxQueued: -1 }), /concurrencyLimit: maxQueued/);
    assert.throws(() => concurrencyLimit({ targetMs: 0 }), /concurrencyLimit: targetMs/);
    assert.throws(() => concurrencyLimit({ intervalMs: Number.NaN }), /concurrencyLimit: intervalMs/);
  });
});

describe("the event loop", () => {
  test("while it is late calls wait, and go in as soon as it comes round, one after the other as far as it bears them", async () => {
    const clock = new LoopClock();
    const ctx = background(clock);
    const limit = concurrencyLimit({ limit: 100, clock });
    const started: unknown[] = [];
    const limited = limit((_ctx, name) => {
      started.push(name);
      return new Promise(() => {});
    }, one);
    void limited(ctx, "before");
    clock.loop.turnMs = 50;
    await clock.virtual.advance(20);
    void limited(ctx, "a");
    void limited(ctx, "b");
    assert.deepEqual(started, ["before"]);
    assert.equal(limit.state.queued, 2);
    await clock.virtual.advance(50);
    assert.deepEqual(started, ["before", "a", "b"]);
  });
});

test("a bulkhead without a line refuses nobody for a loop that is late, as long as it has room", async () => {
  const clock = new LoopClock();
  const ctx = background(clock);
  const limit = concurrencyLimit({ limit: 3, maxQueued: 0, clock });
  const started: unknown[] = [];
  const limited = limit((_ctx, name) => {
    started.push(name);
    return new Promise(() => {});
  }, one);
  void limited(ctx, "before");
  clock.loop.turnMs = 50;
  await clock.virtual.advance(20);
  void limited(ctx, "a");
  void limited(ctx, "b");
  await assert.rejects(limited(ctx, "one too many"), /overloaded: 1 calls are in flight and 2 wait/);
  await clock.virtual.advance(50);
  // The newest first: somebody was refused.
  assert.deepEqual(started, ["before", "b", "a"]);
  await assert.rejects(limited(ctx, "later"), /overloaded: 3 calls are in flight and 0 wait/);
});

describe("refusals before the request is read", () => {
  const asked = (limit: ConcurrencyLimit, ctx: Context, method = one): string | undefined =>
    limit.refuses!(ctx, method)?.message;

  test("there are none while there is room, or a line that is short-lived", async () => {
    const { ctx, limit, call, settle } = bed();
    assert.equal(asked(limit, ctx), undefined);
    for (const name of ["running", "a", "b", "c"]) call(name);
    await settle();
    assert.equal(asked(limit, ctx), undefined);
    assert.equal(limit.state.refused.default, 0);
  });

  test("in overload nearly all that would take the place of another is, and nothing that matters more", async () => {
    const { ctx, clock, limit, call, settle } = bed();
    call("running");
    call("gave up", "default", withTimeout(ctx, 150));
    await clock.advance(160);
    for (let i = 0; i < 30; i++) call(`default ${i}`);
    await settle();
    let refused = 0;
    for (let i = 0; i < 40; i++) if (asked(limit, ctx) !== undefined) refused++;
    assert.ok(refused >= 36 && refused < 40, `${refused} of 40`);
    for (let i = 0; i < 40; i++) assert.equal(asked(limit, withPriority(ctx, "critical")), undefined);
  });

  test("where nobody may wait, or all that wait matter more, it is refused and counted; streams do not count", async () => {
    const { ctx, limit, call, settle } = bed({ maxQueued: 1 });
    call("running");
    call("waiting", "critical");
    await settle();
    assert.match(asked(limit, ctx)!, /1 calls are in flight and 1 wait/);
    assert.equal(limit.state.refused.default, 1);
    assert.equal(asked(limit, withPriority(ctx, "critical")), undefined);
    assert.equal(asked(limit, ctx, many), undefined);
  });
});
