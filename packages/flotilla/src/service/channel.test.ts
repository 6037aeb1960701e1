import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { roundRobin } from "../balance/round-robin.ts";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { afterFunc, background, remainingMs, withCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import type { InstanceObserver, Instancer } from "../discovery/discovery.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import { ServiceError } from "../errors/service-error.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf, readAll } from "../testing/transport-bed.ts";
import { type ChannelOptions, channel, client } from "./channel.ts";
import { FakeConnector } from "./test-fixtures/fake-connector.ts";

const message = z.object({ n: z.number() });
const Calc = contract("calc.v1.Calc", {
  get: unary({ input: message, output: message, idempotent: true }),
  add: unary({ input: message, output: message, timeoutMs: 700 }),
  ticks: serverStream({ input: message, output: message }),
});
const Other = contract("calc.v1.Other", { get: unary({ input: message, output: message }) });
const one = { n: 1 };

function bed(options: Partial<ChannelOptions> & { instances?: readonly string[] } = {}) {
  const clock = new VirtualClock();
  const registry = new TestRegistry();
  const transport = new FakeConnector();
  if (options.instances !== undefined) registry.set(Calc.name, options.instances);
  const way = channel({ discover: registry, transport, clock, random: seededRandom(7), retry: false, ...options });
  return { clock, ctx: background(clock), registry, transport, way, calc: client(Calc, way) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An endpoint's answer that comes when the test says so. */
function held(): { answer: FakeConnector["answer"]; release(): void } {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    async answer(_address, _ctx, request) {
      await gate;
      return request;
    },
    release,
  };
}

describe("balancing", () => {
  test("calls go to every instance", async () => {
    const { calc, ctx, transport } = bed({ instances: ["fake://a", "fake://b", "fake://c"], balance: roundRobin() });
    for (let i = 0; i < 30; i++) assert.deepEqual(await calc.get(ctx, one), one);
    assert.deepEqual(transport.calls, { "fake://a": 10, "fake://b": 10, "fake://c": 10 });
  });

  test("by default the less loaded of two: an instance that hangs is sent less and less", async () => {
    const { calc, ctx, transport } = bed({ instances: ["fake://a", "fake://b", "fake://stuck"] });
    transport.answer = (address, _ctx, request) => (address === "fake://stuck" ? new Promise(() => {}) : request);
    for (let i = 0; i < 300; i++) {
      void calc.get(ctx, one);
      await turn();
    }
    assert.ok(transport.calls["fake://stuck"]! < 10, `the stuck one was sent ${transport.calls["fake://stuck"]} calls`);
  });

  test("one address list stands for every service; an endpoint is asked of the transport once", async () => {
    const { calc, ctx, transport } = bed({ discover: ["fake://a"] });
    await Promise.all([calc.get(ctx, one), calc.get(ctx, one)]);
    assert.equal(transport.opened.length, 1);
  });

  test("a stream counts as in flight until it was read, left, or its context is done", async () => {
    const { calc, ctx, transport, way } = bed({ instances: ["fake://a", "fake://b"] });
    transport.answer = async function* () {
      yield one;
      yield one;
    };
    // With a stream open on one of two, every single call goes to the other.
    const picks = async (): Promise<string[]> => {
      const before = { ...transport.calls };
      for (let i = 0; i < 20; i++) await readAll(calc.ticks(ctx, one));
      return Object.keys(transport.calls).filter((address) => transport.calls[address]! > (before[address] ?? 0));
    };
    const scope = withCancel(ctx);
    const open = way.endpoint(Calc.methods[2]!);
    await open(scope, one);
    assert.equal((await picks()).length, 1);
    scope.cancel();
    await turn();
    assert.equal((await picks()).length, 2, "done with its context");
    const left = calc.ticks(ctx, one)[Symbol.asyncIterator]();
    await left.next();
    assert.equal((await picks()).length, 1);
    await left.return?.();
    assert.equal((await picks()).length, 2, "left early");
  });

  test("an endpoint that throws at once rejects, and is not counted as in flight", async () => {
    const { way, ctx, transport } = bed({ instances: ["fake://a", "fake://b"] });
    const broken = new Error("threw at once");
    const get = way.endpoint(Calc.methods[0]!);
    for (let i = 0; i < 20; i++) await get(ctx, one);
    for (const connection of transport.opened) {
      connection.endpoint = () => () => {
        throw broken;
      };
    }
    const add = way.endpoint(Calc.methods[1]!);
    for (let i = 0; i < 20; i++) await assert.rejects(add(ctx, one), (error) => error === broken);
    for (let i = 0; i < 40; i++) await get(ctx, one);
    assert.ok(Math.min(...Object.values(transport.calls)) > 5, JSON.stringify(transport.calls));
  });
});

describe("an instance that is dead", () => {
  const refuse = (): never => {
    throw new ServiceError("unavailable", "connection refused", { retry: { unprocessed: true } });
  };

  test("is avoided while others are left, looked at again later and later, and back with its first success", async () => {
    const { calc, ctx, clock, transport } = bed({ instances: ["fake://a", "fake://b", "fake://dead"], retry: {} });
    let dead = true;
    transport.answer = (address, _ctx, request) => (dead && address === "fake://dead" ? refuse() : request);
    const calls = async (count: number): Promise<number> => {
      const before = transport.calls["fake://dead"] ?? 0;
      for (let i = 0; i < count; i++) {
        const answer = calc.add(ctx, one);
        await clock.advance(1);
        await clock.advance(20);
        assert.deepEqual(await answer, one, "no call is lost, though it is not idempotent");
      }
      return transport.calls["fake://dead"]! - before;
    };
    // 21 ms each: a minute and more. Looked at after 0.1, 0.2, 0.4, ... 5 s.
    const looked = await calls(3000);
    assert.ok(looked >= 8 && looked <= 22, `called ${looked} times`);
    dead = false;
    await clock.advance(5000);
    assert.ok((await calls(100)) > 10, "it is back");
  });

  test("is called all the same when no other is left", async () => {
    const { calc, ctx, transport } = bed({ instances: ["fake://a", "fake://b"] });
    transport.answer = refuse;
    for (let i = 0; i < 10; i++) assert.equal((await failureOf(calc.add(ctx, one))).message, "connection refused");
    transport.answer = (_address, _ctx, request) => request;
    assert.deepEqual(await calc.add(ctx, one), one);
  });

  test("of none but such each attempt of a call goes to another", async () => {
    const instances = ["fake://a", "fake://b", "fake://c"];
    const retry = { maxAttempts: 3, baseMs: 0.001 };
    const { calc, ctx, transport, clock } = bed({ instances, retry, throttle: false, ejection: false });
    const asked: string[] = [];
    transport.answer = (address) => {
      asked.push(address);
      throw new ServiceError("unavailable", "refused", { retry: { unprocessed: true } });
    };
    for (let i = 0; i < 3; i++) {
      asked.length = 0;
      const failed = failureOf(calc.get(ctx, one));
      await clock.run(20);
      await failed;
      assert.deepEqual(asked.toSorted(), instances);
    }
  });
});

describe("discovery", () => {
  test("survivors keep their connection across updates; who comes back gets a new one", async () => {
    const { calc, ctx, registry, transport, way } = bed({ instances: ["fake://a", "fake://b"] });
    await calc.get(ctx, one);
    registry.set(Calc.name, ["fake://b", "fake://c"]);
    assert.deepEqual(
      way.instances(Calc.name).map(({ id }) => id),
      ["fake://b", "fake://c"],
    );
    registry.set(Calc.name, [{ id: "fake://b", address: "fake://b", version: "2" }, "fake://a"]);
    assert.equal(way.instances(Calc.name).find(({ id }) => id === "fake://b")?.version, "2");
    assert.deepEqual(
      transport.opened.map(({ address }) => address),
      ["fake://a", "fake://b", "fake://c", "fake://a"],
    );
    assert.equal(transport.to("fake://b").state, "open");
  });

  test("an instance at a new address gets a new connection, the old one is drained", async () => {
    const { calc, ctx, registry, transport } = bed();
    registry.set(Calc.name, [{ id: "i", address: "fake://old" }]);
    await calc.get(ctx, one);
    registry.set(Calc.name, [{ id: "i", address: "fake://new" }]);
    await calc.get(ctx, one);
    assert.deepEqual(transport.calls, { "fake://old": 1, "fake://new": 1 });
    assert.equal(transport.to("fake://old").state, "closed");
  });

  test("an instance that vanishes is drained, not cut", async () => {
    const { calc, ctx, registry, transport } = bed({ instances: ["fake://a"] });
    const { answer, release } = held();
    transport.answer = answer;
    const call = calc.get(ctx, one);
    await turn();
    registry.set(Calc.name, ["fake://b"]);
    await turn();
    assert.equal(transport.to("fake://a").state, "draining");
    release();
    assert.deepEqual(await call, one);
    await turn();
    assert.equal(transport.to("fake://a").state, "closed");
  });

  test("contracts of one channel share connections, and each is drained when nobody uses it", async () => {
    const { calc, ctx, registry, transport, way } = bed({ instances: ["fake://a"] });
    registry.set(Other.name, ["fake://a"]);
    const other = client(Other, way);
    await Promise.all([calc.get(ctx, one), other.get(ctx, one)]);
    assert.equal(transport.opened.length, 1);
    registry.set(Calc.name, []);
    await turn();
    assert.equal(transport.to("fake://a").state, "open");
    registry.set(Other.name, []);
    await turn();
    assert.equal(transport.to("fake://a").state, "closed");
  });

  test("no instance fails at once as unavailable, and says that nothing was processed", async () => {
    const { calc, ctx, clock } = bed({ instances: [] });
    const error = await failureOf(calc.add(ctx, one));
    assert.equal(error.code, "unavailable");
    assert.equal(error.retry?.unprocessed, true);
    assert.equal(error.message, "calc.v1.Calc: no instance is known");
    assert.equal(clock.now(), 0);
  });

  test("an address that cannot be used costs only its own instance, and shows when no other is left", async () => {
    const { calc, ctx, registry } = bed({ instances: ["http://h:1", "fake://bad", "fake://a"] });
    assert.deepEqual(await calc.get(ctx, one), one);
    registry.set(Calc.name, ["http://h:1"]);
    const wrongScheme = await failureOf(calc.get(ctx, one));
    assert.match(wrongScheme.message, /no instance can be used: address http:\/\/h:1 is not for .* which is fake/);
    registry.set(Calc.name, ["fake://bad"]);
    assert.match((await failureOf(calc.get(ctx, one))).message, /fake:\/\/bad is not an address/);
  });

  test("the first snapshot is waited for as long as the context lets", async () => {
    let observer: InstanceObserver | undefined;
    const silent: Instancer = {
      watch(_service, told) {
        observer = told;
        return { stop() {} };
      },
    };
    const { calc, ctx, clock } = bed({ discover: silent });
    const late = failureOf(calc.get(withTimeout(ctx, 50), one));
    const canceled = withCancel(ctx);
    const gone = failureOf(calc.get(canceled, one));
    const patient = calc.get(ctx, one);
    await clock.advance(54);
    assert.equal((await late).code, "deadline_exceeded");
    canceled.cancel();
    assert.equal((await gone).code, "canceled");
    observer!.update([{ id: "a", address: "fake://a" }]);
    assert.deepEqual(await patient, one);
    await clock.advance(20_000);
    assert.equal(clock.pending, 0, "nothing waits any more");
  });

  test("a discovery that fails before its first snapshot fails the calls that wait and those that come", async () => {
    const registry = new TestRegistry();
    registry.fail(new ServiceError("unavailable", "the registry is down"));
    const { calc, ctx } = bed({ discover: registry });
    for (let i = 0; i < 2; i++) {
      const error = await failureOf(calc.add(ctx, one));
      assert.equal(error.code, "unavailable");
      assert.equal(error.retry?.unprocessed, true);
      assert.equal(error.message, "calc.v1.Calc: cannot discover instances: the registry is down");
    }
    registry.set(Calc.name, ["fake://a"]);
    registry.recover();
    assert.deepEqual(await calc.add(ctx, one), one);
  });

  test("while discovery fails the last known instances are used, until they are too old", async () => {
    const { calc, ctx, clock, registry } = bed({ instances: ["fake://a"], maxStaleMs: 60_000 });
    await calc.get(ctx, one);
    registry.fail(new ServiceError("unavailable", "the registry is down"));
    await clock.advance(60_000);
    assert.deepEqual(await calc.get(ctx, one), one);
    await clock.advance(1);
    const error = await failureOf(calc.get(ctx, one));
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /discovery has failed for too long: the registry is down/);
    registry.recover();
    assert.deepEqual(await calc.get(ctx, one), one);
    await clock.advance(120_000);
    assert.deepEqual(await calc.get(ctx, one), one, "the spell of failure is over");
  });
});

describe("the stack of a call", () => {
  test("a unary call gets a deadline: the method's, else the channel's, never later than the caller's", async () => {
    const left: number[] = [];
    const { calc, ctx, transport } = bed({ instances: ["fake://a"], timeoutMs: 3000 });
    transport.answer = (_address, inner, request) => {
      left.push(remainingMs(inner));
      return request;
    };
    await calc.get(ctx, one);
    await calc.add(ctx, one);
    await calc.get(withTimeout(ctx, 20), one);
    assert.deepEqual(left, [3000, 700, 20]);
  });

  test("timeoutMs: false sets none", async () => {
    const { calc, ctx, transport } = bed({ instances: ["fake://a"], timeoutMs: false });
    transport.answer = (_address, inner) => ({ n: remainingMs(inner) });
    assert.deepEqual(await calc.get(ctx, one), { n: Infinity });
  });

  test("`use` is outermost, and sees a call once however often it is tried", async () => {
    const seen: string[] = [];
    const watching: Middleware = (next, method) =>
      async function watched(ctx: Context, request) {
        seen.push(method.key);
        return next(ctx, request);
      };
    let failures = 2;
    const { calc, ctx, clock, transport } = bed({
      instances: ["fake://a", "fake://b", "fake://c"],
      use: [watching],
      retry: {},
    });
    transport.answer = (_address, _ctx, request) => {
      if (failures-- > 0) throw new ServiceError("unavailable", "busy");
      return request;
    };
    const answer = calc.get(ctx, one);
    await clock.advance(100);
    assert.deepEqual(await answer, one);
    assert.deepEqual(seen, ["get"]);
    assert.deepEqual(transport.calls, { "fake://a": 1, "fake://b": 1, "fake://c": 1 });
  });
});

describe("the end", () => {
  test("closing stops discovery, closes every connection, and fails what comes later and what waits", async () => {
    const { calc, ctx, registry, transport, way } = bed({ instances: ["fake://a"], retry: {} });
    const { answer, release } = held();
    transport.answer = answer;
    const drained = calc.get(ctx, one);
    await turn();
    registry.set(Calc.name, ["fake://b"]);
    const unknown = channel({ discover: { watch: () => ({ stop() {} }) }, transport, retry: {} });
    const stuck = failureOf(client(Calc, unknown).get(ctx, one));
    await Promise.all([way.close(), way.close(), unknown.close()]);
    assert.deepEqual(
      transport.opened.map(({ state }) => state),
      ["closed", "closed"],
      "the one that was draining too",
    );
    assert.equal(registry.watches(Calc.name), 0);
    for (const error of [await stuck, await failureOf(calc.get(ctx, one))]) {
      assert.equal(error.code, "unavailable");
      assert.equal(error.retry?.never, true);
      assert.match(error.message, /the channel is closed/);
    }
    assert.deepEqual(way.instances(Calc.name), []);
    assert.throws(() => way.endpoint(Other.methods[0]!), /after the channel was closed/);
    release();
    await drained;
  });

  test("disposing of a client closes a channel of its own, and leaves a shared one open", async () => {
    const transport = new FakeConnector();
    const own = client(Calc, { discover: ["fake://a"], transport });
    await own.get(background(), one);
    await own[Symbol.asyncDispose]();
    assert.equal(transport.to("fake://a").state, "closed");
    const { calc, ctx, way, transport: shared } = bed({ instances: ["fake://a"] });
    await calc.get(ctx, one);
    await calc[Symbol.asyncDispose]();
    assert.equal(shared.to("fake://a").state, "open");
    await way[Symbol.asyncDispose]();
    assert.equal(shared.to("fake://a").state, "closed");
  });

  test("a stop of waiting leaves no listener on the context", async () => {
    const { way, ctx } = bed({ discover: { watch: () => ({ stop() {} }) }, timeoutMs: false });
    const scope = withCancel(ctx);
    const failure = failureOf(way.endpoint(Calc.methods[0]!)(scope, one));
    await way.close();
    await failure;
    let fired = 0;
    afterFunc(scope, () => fired++);
    scope.cancel();
    await turn();
    assert.equal(fired, 1);
  });
});

test("an instance that joins others comes to its share little by little, unless told otherwise", async () => {
  for (const slowStart of [undefined, false] as const) {
    const { calc, ctx, registry, transport, clock } = bed({
      instances: ["fake://a", "fake://b"],
      ...(slowStart === false && { slowStart }),
    });
    await calc.get(ctx, one);
    await clock.run(20_000);
    registry.set(Calc.name, ["fake://a", "fake://b", "fake://new"]);
    await turn();
    const calls = async (): Promise<number> => {
      const before = transport.calls["fake://new"] ?? 0;
      for (let i = 0; i < 300; i++) await calc.get(ctx, one);
      return transport.calls["fake://new"]! - before;
    };
    const first = await calls();
    await clock.run(10_000);
    const full = await calls();
    assert.ok(slowStart === false ? first > 70 : first < 25, `${first} of 300 calls at first`);
    assert.ok(full > 70 && full < 130, `${full} of 300 calls in the end`);
  }
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => channel({ discover: ["http://a"], slowStart: { windowMs: -1 } }), /slowStart: windowMs/);
  const transport = new FakeConnector();
  const discover = ["fake://a"];
  assert.throws(() => channel({ discover, transport, timeoutMs: 0 }), /timeoutMs/);
  assert.throws(() => channel({ discover, transport, maxStaleMs: -1 }), /maxStaleMs/);
  assert.throws(() => channel({ discover, transport, retry: { maxAttempts: 0 } }), /maxAttempts/);
  assert.throws(() => channel({ discover: ["a"], transport }), /address "a"/);
});
