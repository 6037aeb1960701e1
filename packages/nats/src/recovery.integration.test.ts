import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "flotilla/clock";
import { background, sleep, withCancel, withTimeout, withValue } from "flotilla/context";
import { bidiStream, contract, unary } from "flotilla/contract";
import { errorReporterKey } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { RetryBudget } from "flotilla/resilience";
import { client, implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import { jetstreamClient } from "./jetstream/client.ts";
import { jetstream } from "./jetstream/server.ts";
import { nats } from "./server.ts";
import { anything, clientOf, failureOf, Gate } from "./test-fixtures/bed.ts";
import { Jobs } from "./test-fixtures/jobs.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";
import { Relay } from "./test-fixtures/relay.ts";

const skip = await skipWithout("nats-server");

const Echo = contract("test.v1.Echo", {
  say: unary({ input: anything<{ n: number }>(), output: anything<{ n: number }>(), idempotent: true }),
  hang: unary({ input: anything<object>(), output: anything<object>() }),
  chat: bidiStream({ input: anything<{ n: number }>(), output: anything<{ n: number }>() }),
});

/** Few, and soon: what tests wait for. */
const quick = { maxReconnectMs: 200, connectTimeoutMs: 2000 };

describe("a broker that is killed", { skip, timeout: 60_000 }, () => {
  async function bed(t: TestContext) {
    const broker = await TestNats.start();
    const root = withCancel(background());
    const chats: ServiceError[] = [];
    const hung: ServiceError[] = [];
    const echo = implement(Echo, {
      say: (_ctx, { n }) => ({ n }),
      hang: (ctx) =>
        sleep(ctx, 3_600_000).then(
          () => ({}),
          (error: unknown) => {
            hung.push(ServiceError.from(error));
            throw error;
          },
        ),
      async *chat(ctx, requests) {
        ctx.signal.addEventListener("abort", () => chats.push(ctx.err!));
        for await (const request of requests) yield request;
      },
    });
    const listening = await nats({ servers: broker.address, ...quick }).listen([echo], root);
    const connection = natsClient(quick).connect(broker.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await broker.stop();
    });
    return { broker, listening, connection, chats, hung, calls: clientOf(Echo, connection), ctx: background() };
  }

  test("calls in flight fail as unavailable, later ones at once, and all is well when it is back", async (t) => {
    const { broker, listening, connection, chats, hung, calls, ctx } = await bed(t);
    assert.deepEqual(await calls.say(ctx, { n: 1 }), { n: 1 });
    const hanging = failureOf(calls.hang(ctx, {}));
    const asked = new Gate();
    const requests = async function* (): AsyncGenerator<{ n: number }> {
      yield { n: 7 };
      await asked.open;
    };
    const chat = calls.chat(ctx, requests())[Symbol.asyncIterator]();
    assert.deepEqual(await chat.next(), { done: false, value: { n: 7 } });
    const chatting = failureOf(chat.next());
    assert.equal(listening.inFlight, 2);

    await broker.kill();
    for (const failure of [await hanging, await chatting]) {
      assert.equal(failure.code, "unavailable");
      assert.match(failure.message, /the connection to the broker was lost/);
      assert.equal(failure.retry?.unprocessed, undefined, "it may well have been processed");
    }
    await until("the server's end of the stream is over", () => chats.length === 1);
    const meanwhile = await failureOf(calls.say(ctx, { n: 2 }));
    assert.equal(meanwhile.code, "unavailable");
    assert.equal(meanwhile.retry?.unprocessed, true);
    assert.equal(connection.poolState?.().open, 0);

    await broker.up();
    await until(
      "both ends are connected again",
      () => listening.connections === 1 && connection.poolState?.().open === 1,
    );
    await untilServed(() => calls.say(ctx, { n: 3 }));
    // Who came back last decides whether the word is heard: a server that is late hears of it by the deadline only.
    if (hung.length === 0) assert.equal(listening.inFlight, 1);
    else assert.equal(hung[0]!.code, "canceled");
    assert.equal(connection.poolState?.().open, 1);
    asked.set();
  });

  test("takes nothing of a stream that had come to its end before", async (t) => {
    const { broker, listening, connection, calls, ctx } = await bed(t);
    const requests = async function* (): AsyncGenerator<{ n: number }> {
      for (let n = 1; n <= 500; n++) yield { n };
    };
    const chat = calls.chat(ctx, requests())[Symbol.asyncIterator]();
    assert.deepEqual((await chat.next()).value, { n: 1 });
    await until("the server has said all", () => listening.inFlight === 0);
    // All that was sent before this answer has come before it.
    await calls.say(ctx, { n: 0 });
    await broker.kill();
    await until("the connection is lost", () => connection.poolState?.().open === 0);
    for (let n = 2; n <= 500; n++) assert.deepEqual((await chat.next()).value, { n });
    assert.equal((await chat.next()).done, true);
    await broker.up();
  });

  test("under load, nothing hangs: with retries, and a broker that comes back, no call fails", async (t) => {
    const { broker, listening } = await bed(t);
    const patient = client(Echo, {
      discover: [broker.address],
      transport: natsClient(quick),
      retry: { maxAttempts: 500, baseMs: 20, maxMs: 100, budget: new RetryBudget({ ratio: 1, floor: 100_000 }) },
      throttle: false,
      deadlineCheck: false,
    });
    const bare = natsClient(quick).connect(broker.address);
    const plain = clientOf(Echo, bare);
    t.after(async () => {
      await patient[Symbol.asyncDispose]();
      await bare.close();
    });
    let stop = false;
    let answered = 0;
    let refused = 0;
    const failures: unknown[] = [];
    const lane = async (): Promise<void> => {
      for (let n = 0; !stop; n++) {
        const ctx = withTimeout(background(), 20_000);
        assert.deepEqual(await patient.say(ctx, { n }), { n });
        answered++;
        ctx.cancel();
      }
    };
    const bareLane = async (): Promise<void> => {
      for (let n = 0; !stop; n++) {
        try {
          await plain.say(background(), { n });
        } catch (error) {
          refused++;
          if (ServiceError.from(error).code !== "unavailable") failures.push(error);
          await new Promise<void>((resolve) => void systemClock.schedule(2, resolve));
        }
      }
    };
    const lanes = [...Array.from({ length: 16 }, lane), ...Array.from({ length: 16 }, bareLane)];
    for (let kill = 0; kill < 3; kill++) {
      const before = answered;
      await until("calls are answered", () => answered > before + 200);
      await broker.kill();
      await broker.up();
    }
    const before = answered;
    await until("calls are answered again", () => answered > before + 200);
    stop = true;
    await Promise.all(lanes);
    assert.deepEqual(failures, [], "what fails is unavailable");
    assert.ok(refused > 0, "the gap was felt");
    await until("nothing is in flight", () => listening.inFlight === 0);
  });

  test("a first connection that cannot be made fails its calls, and the next call tries again", async (t) => {
    const broker = await TestNats.start();
    await broker.kill();
    const connection = natsClient(quick).connect(broker.address);
    const calls = clientOf(Echo, connection);
    t.after(() => connection.close());
    const failures = await Promise.all([
      failureOf(calls.say(background(), { n: 1 })),
      failureOf(calls.hang(background(), {})),
    ]);
    for (const failure of failures) {
      assert.equal(failure.code, "unavailable");
      assert.match(failure.message, /the broker cannot be reached: connection refused/);
      assert.equal(failure.retry?.unprocessed, true);
    }
    await assert.rejects(
      nats({ servers: broker.address }).listen([], background()),
      /nats: cannot serve at nats:\S+: connection refused/,
    );
    await broker.up();
    t.after(() => broker.stop());
    const nobody = await failureOf(calls.say(background(), { n: 1 }));
    assert.match(nobody.message, /nobody serves flotilla\.test\.v1\.Echo\.say at nats:/);
    assert.equal(nobody.retry?.unprocessed, true);
  });

  test("whoever hears of errors hears that a broker was lost", async (t) => {
    const broker = await TestNats.start();
    const told: string[] = [];
    const root = withValue(background(), errorReporterKey, (error) => told.push(error.message));
    const servers = broker.address;
    const echo = implement(Echo, { say: (_ctx, request) => request, hang: () => ({}), async *chat() {} });
    const serving = await nats({ servers, ...quick }).listen([echo], root);
    const jobs = implement(Jobs, { run: () => ({}) });
    const handling = await jetstream({ servers, ...quick, stream: "jobs" }).listen([jobs], root);
    t.after(async () => {
      await handling.close();
      await serving.close();
      await broker.stop();
    });
    for (let kills = 0; kills < 2; kills++) {
      told.length = 0;
      await broker.kill();
      const lost = [
        `jetstream: lost the broker at ${servers}, trying again`,
        `nats: lost the broker at ${servers}, trying again`,
      ];
      await until("both are told of", () => told.length >= 2);
      assert.deepEqual(told.toSorted(), lost);
      await broker.up();
      await until("the service is back", () => serving.connections === 1);
      await until("and the messages", () => handling.connections === 1);
    }
  });

  test("an authenticator that throws is asked again, later each time, and nothing is sent without it", async (t) => {
    const broker = await TestNats.start();
    const relay = await Relay.open(broker.port);
    const told: string[] = [];
    const root = withValue(background(), errorReporterKey, (error) => told.push(error.message));
    const asked: number[] = [];
    let works = true;
    const authenticator = () => {
      asked.push(systemClock.now());
      if (!works) throw new Error("the key is gone");
    };
    const servers = relay.address;
    const options = { servers, ...quick, broker: { authenticator } };
    const echo = implement(Echo, { say: (_ctx, request) => request, hang: () => ({}), async *chat() {} });
    const serving = await nats(options).listen([echo], root);
    const connection = natsClient({ ...quick, broker: { authenticator } }).connect(relay.address);
    const calls = clientOf(Echo, connection);
    t.after(async () => {
      await connection.close();
      await serving.close();
      await relay.close();
      await broker.stop();
    });
    assert.deepEqual(await calls.say(background(), { n: 1 }), { n: 1 });
    works = false;
    asked.length = 0;
    relay.cut();
    await until("it was asked often", () => asked.length >= 12);
    // Two ends; from 50 ms on, less a quarter at most, to 200 ms.
    assert.ok(asked[11]! - asked[0]! > 400, `12 times in ${asked[11]! - asked[0]!} ms`);
    assert.equal((await failureOf(calls.say(background(), { n: 2 }))).retry?.unprocessed, true);
    assert.deepEqual(told, [
      `nats: lost the broker at ${servers}, trying again`,
      `nats: cannot be connected to the broker at ${servers} again, trying on: the key is gone`,
    ]);
    works = true;
    await until("both are back", () => serving.connections === 1 && connection.poolState!().open === 1);
    assert.deepEqual(await calls.say(background(), { n: 3 }), { n: 3 });
    assert.equal(told.length, 2);
    works = false;
    await assert.rejects(nats(options).listen([echo], root), /nats: cannot serve at \S+: the key is gone/);
  });

  test("a broker whose words cannot be read is lost at once, and connected to anew", async (t) => {
    const broker = await TestNats.start();
    const relay = await Relay.open(broker.port);
    const told: string[] = [];
    const root = withValue(background(), errorReporterKey, (error) => told.push(error.message));
    const calling = new Gate();
    const hang = (): Promise<never> => {
      calling.set();
      return new Promise(() => {});
    };
    const echo = implement(Echo, { say: (_ctx, request) => request, hang, async *chat() {} });
    const patient = { ...quick, pingIntervalMs: 60_000 };
    const direct = await nats({ servers: broker.address, ...patient }).listen([echo], background());
    const serving = await nats({ servers: relay.address, ...patient, queue: "other" }).listen([echo], root);
    const connection = natsClient(patient).connect(relay.address);
    const calls = clientOf(Echo, connection);
    t.after(async () => {
      await connection.close();
      await Promise.all([serving.close(), direct.close()]);
      await relay.close();
      await broker.stop();
    });
    for (const garbage of ["HELLO?\r\n", "INFO {\r\n", "MSG a b c\r\n"]) {
      told.length = 0;
      const failure = failureOf(calls.hang(background(), {}));
      await calling.open;
      await until("the call is under way", () => connection.poolState!().open === 1);
      relay.say(garbage);
      const { code, message } = await failure;
      assert.equal(code, "unavailable");
      assert.match(message, /the connection to the broker was lost/);
      await until("the listener's is told of", () => told.length > 0);
      assert.deepEqual(told, [`nats: lost the broker at ${relay.address}, trying again`]);
      await until("both are back", () => serving.connections === 1 && connection.poolState!().open === 1);
      assert.deepEqual(await calls.say(background(), { n: 1 }), { n: 1 });
    }
  });

  test("so is one that says something else with its hello, or breaks it off, when it comes back as well", async (t) => {
    const broker = await TestNats.start();
    const relay = await Relay.open(broker.port);
    const hellos: Socket[] = [];
    const info = JSON.stringify({ version: "2.10.0", headers: true, max_payload: 1e6, proto: 1 });
    const confused = createServer((socket) => {
      hellos.push(socket);
      socket.on("error", () => {});
      const number = hellos.length;
      if (number > 5) return relay.join(socket);
      socket.write(`INFO ${info}\r\n`);
      socket.on("data", (data) => {
        if (!data.includes("PING")) return;
        if (number > 3) socket.destroy();
        else socket.write(number === 2 ? "PO??\r\n" : "PONG\r\nHELLO?\r\n");
      });
    });
    await new Promise<void>((resolve) => confused.listen(0, "127.0.0.1", resolve));
    const connection = natsClient({ ...quick, pingIntervalMs: 60_000 }).connect(
      `nats://127.0.0.1:${(confused.address() as AddressInfo).port}`,
    );
    const echo = implement(Echo, { say: (_ctx, request) => request, hang: () => ({}), async *chat() {} });
    const serving = await nats({ servers: broker.address, ...quick }).listen([echo], background());
    t.after(async () => {
      await connection.close();
      await serving.close();
      await relay.close();
      confused.close();
      for (const socket of hellos) socket.destroy();
      await broker.stop();
    });
    const calls = clientOf(Echo, connection);
    const startedMs = systemClock.now();
    assert.equal((await failureOf(calls.say(background(), { n: 1 }))).code, "unavailable");
    await until("it is connected to the broker", () => hellos.length === 6 && connection.poolState!().open === 1);
    assert.ok(systemClock.now() - startedMs < quick.connectTimeoutMs, "none was waited for");
    assert.deepEqual(await calls.say(background(), { n: 1 }), { n: 1 });
  });

  test("a broker that stands still is noticed, and its connection given up", async (t) => {
    const broker = await TestNats.start();
    const connection = natsClient({ ...quick, pingIntervalMs: 50 }).connect(broker.address);
    const calls = clientOf(Echo, connection);
    t.after(async () => {
      await connection.close();
      await broker.stop();
    });
    // Somebody who never answers, for a stopped process may yet do what it had begun.
    const plain = await broker.client();
    t.after(() => plain.close());
    plain.subscribe("flotilla.test.v1.Echo.hang", { callback: () => {} });
    await plain.flush();
    await failureOf(calls.say(background(), { n: 1 }));
    broker.signal("SIGSTOP");
    try {
      const failure = await failureOf(calls.hang(background(), {}));
      assert.equal(failure.code, "unavailable");
      assert.match(failure.message, /the connection to the broker was lost/);
    } finally {
      broker.signal("SIGCONT");
    }
  });

  test("another server of the cluster is asked when the one of the address is down", async (t) => {
    const down = await TestNats.start();
    await down.kill();
    const other = await TestNats.start();
    const listener = nats({ servers: [down.address, other.address], ...quick });
    const echo = implement(Echo, { say: (_ctx, request) => request, hang: () => ({}), async *chat() {} });
    const listening = await listener.listen([echo], background());
    const connection = natsClient({ ...quick, servers: [other.address] }).connect(down.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await other.stop();
      await down.stop();
    });
    assert.deepEqual(await clientOf(Echo, connection).say(background(), { n: 1 }), { n: 1 });
  });

  test("in a cluster, calls cross it, and a server whose broker is killed goes on at the other", async (t) => {
    const [near, far] = await TestNats.cluster();
    const ended: string[] = [];
    let begun = 0;
    const done = new Gate();
    const echo = implement(Echo, {
      say: (_ctx, request) => request,
      async hang(ctx) {
        begun++;
        ctx.signal.addEventListener("abort", () => ended.push(ctx.err!.code));
        await done.open;
        return {};
      },
      async *chat(_ctx, requests) {
        yield* requests;
      },
    });
    const listener = nats({ servers: far.address, broker: { name: "server" }, ...quick });
    const listening = await listener.listen([echo], background());
    const connection = natsClient(quick).connect(near.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await near.stop();
      await far.stop();
    });
    const calls = clientOf(Echo, connection);
    // The brokers tell each other who serves.
    await untilServed(() => calls.say(background(), { n: 1 }));
    const requests = async function* (): AsyncGenerator<{ n: number }> {
      for (let n = 0; n < 100; n++) yield { n };
    };
    const echoed: number[] = [];
    for await (const { n } of calls.chat(background(), requests())) echoed.push(n);
    assert.deepEqual(echoed, [...Array(100).keys()]);

    const abandoned = withCancel(background());
    const failure = failureOf(calls.hang(abandoned, {}));
    await until("it has begun", () => begun === 1);
    abandoned.cancel();
    assert.equal((await failure).code, "canceled");
    await until("its handler is cancelled across the cluster", () => ended.length === 1);

    const answer = calls.hang(withTimeout(background(), 20_000), {});
    await until("it has begun", () => begun === 2);
    await far.kill();
    await until("the server is at the other broker", () => listening.connections === 1);
    await untilServed(() => calls.say(background(), { n: 2 }));
    done.set();
    assert.deepEqual(await answer, {}, "what was begun before is answered after");
  });

  test("JetStream: thousands of messages, the broker killed twice meanwhile: each is handled, none is lost", async (t) => {
    const broker = await TestNats.start();
    const MESSAGES = 3000;
    const handled = new Map<number, number>();
    const consume = () =>
      jetstream({
        servers: broker.address,
        stream: "jobs",
        ackWaitMs: 1000,
        retryDelayMs: 20,
        maxRetryDelayMs: 100,
        ...quick,
      }).listen(
        [
          implement(Jobs, {
            async run(_ctx, { n }) {
              await new Promise((resolve) => setImmediate(resolve));
              handled.set(n, (handled.get(n) ?? 0) + 1);
              return {};
            },
          }),
        ],
        background(),
      );
    const first = await consume();
    const second = await consume();
    const connection = jetstreamClient(quick).connect(broker.address);
    const jobs = clientOf(Jobs, connection);
    t.after(async () => {
      await connection.close();
      await first.close();
      await second.close();
      await broker.stop();
    });
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let n = next++; n < MESSAGES; n = next++) {
        // What is not acknowledged is not known to be stored: it is sent until it is.
        for (;;) {
          try {
            await jobs.run(withTimeout(background(), 2000), { n });
            break;
          } catch (error) {
            assert.match(ServiceError.from(error).code, /^(unavailable|deadline_exceeded)$/);
            await new Promise<void>((resolve) => void systemClock.schedule(20, resolve));
          }
        }
      }
    };
    const publishing = Promise.all(Array.from({ length: 32 }, lane));
    for (const share of [0.2, 0.5]) {
      await until("a part is handled", () => handled.size > MESSAGES * share, 30_000);
      await broker.kill();
      await broker.up();
    }
    await publishing;
    await until("all are handled", () => handled.size === MESSAGES, 30_000);
    const total = [...handled.values()].reduce((sum, times) => sum + times, 0);
    t.diagnostic(`${MESSAGES} messages, ${total - MESSAGES} of them handled again`);
    await until("nothing is in hand", () => first.inFlight + second.inFlight === 0);
  });
});

async function untilServed(call: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < 500; n++) {
    const done = await call().then(
      () => true,
      (error: unknown) => ServiceError.from(error).code !== "unavailable",
    );
    if (done) return;
    await new Promise<void>((resolve) => void systemClock.schedule(10, resolve));
  }
  assert.fail("calls are not served again");
}
