import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Channel, ConsumeMessage } from "amqplib";
import { seededRandom } from "flotilla/clock";
import { background, type CancelContext, withCancel, withTimeout, withValue } from "flotilla/context";
import { type Contract, contract } from "flotilla/contract";
import { errorReporterKey, type Listening, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { serverCall, withHeaders } from "flotilla/metadata";
import { client, host, implement } from "flotilla/service";
import { faultProxy, until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { type AmqpClient, type AmqpClientOptions, amqpClient } from "./client.ts";
import { type AmqpOptions, amqp } from "./listener.ts";
import { type Cargo, CargoEvents, Tracking } from "./test-fixtures/cargo.ts";
import { foreign, hasMessages } from "./test-fixtures/inspect.ts";
import { Scales } from "./test-fixtures/scales.ts";

const skip = await skipWithout("rabbitmq-server");

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

const ctx = background();
const idle = implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo });

/** A service whose calls wait until they may go on, and the numbers of those that have begun. */
function gated(): { service: Service; made: number[]; open: () => void } {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const made: number[] = [];
  const find = async (_ctx: unknown, cargo: { n: number }) => {
    made.push(cargo.n);
    await gate;
    return cargo;
  };
  return { service: implement(Tracking, { find, book: find }), made, open };
}

/** A listener, closed with the test. */
async function serving(
  t: TestContext,
  service: Service = idle,
  options: Partial<AmqpOptions> = {},
): Promise<{ listening: Listening; reported: ServiceError[]; root: CancelContext }> {
  const reported: ServiceError[] = [];
  const root = withCancel(withValue(background(), errorReporterKey, (error) => reported.push(error)));
  const listening = await amqp({ url: rabbit.url, ...options }).listen([service], root);
  t.after(() => listening.close());
  return { listening, reported, root };
}

/** The methods of a contract over one connection, closed with the test. */
function calling<C extends Contract = typeof Tracking>(
  t: TestContext,
  { of = Tracking as unknown as C, ...options }: AmqpClientOptions & { of?: C } = {},
): { call: (key: keyof C["spec"], request: unknown, inner?: typeof ctx) => Promise<unknown>; connector: AmqpClient } {
  const connector = amqpClient(options);
  const connection = connector.connect(rabbit.url);
  t.after(() => connection.close());
  const endpoints = new Map(of.methods.map((method) => [method.key, connection.endpoint(method)]));
  return { call: (key, request, inner = ctx) => endpoints.get(key as string)!(inner, request), connector };
}

async function failure(work: Promise<unknown>): Promise<ServiceError> {
  const error = await work.then(
    () => assert.fail("did not fail"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

describe("calls through the broker", { skip, timeout: 60_000 }, () => {
  test("a host and a client with their defaults", async (t) => {
    const running = await host({
      name: "tracking",
      admin: false,
      serve: [idle],
      listen: [amqp({ url: rabbit.url })],
      onEvent: () => {},
    }).start();
    t.after(() => running.stop());
    assert.deepEqual(running.addresses, [rabbit.url]);
    const tracking = client(Tracking, { discover: running.addresses, transport: amqpClient() });
    t.after(() => tracking[Symbol.asyncDispose]());
    assert.deepEqual(await tracking.find(ctx, { n: 1 }), { n: 1 });
  });

  test("instances share the queue of their service", async (t) => {
    const served = [0, 0];
    for (const i of served.keys()) {
      const find = async (_ctx: unknown, cargo: { n: number }) => {
        served[i]!++;
        await new Promise((resolve) => setImmediate(resolve));
        return cargo;
      };
      await serving(t, implement(Tracking, { find, book: find }), { maxConcurrentCalls: 4 });
    }
    const { call } = calling(t);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => call("find", { n })));
    assert.deepEqual(
      answers,
      Array.from({ length: 100 }, (_, n) => ({ n })),
    );
    assert.equal(served[0]! + served[1]!, 100);
    assert.ok(served[0]! > 0 && served[1]! > 0, served.join(" and "));
  });

  test("a service that nobody serves is unavailable at once, and nothing was done", async (t) => {
    const { call } = calling(t);
    const error = await failure(call("book", { n: 1 }, withTimeout(ctx, 30_000)));
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /^nobody serves cargo\.v1\.Tracking at amqp:\/\/127/);
    assert.equal(error.retry?.unprocessed, true);
  });

  test("what is more than may be in hand waits in the queue, and what has run out of time there is not served", async (t) => {
    const { service, made, open } = gated();
    await serving(t, service, { maxConcurrentCalls: 1 });
    const { call } = calling(t);
    const first = call("find", { n: 1 });
    await until("it is in hand", () => made.length === 1);
    const late = call("find", { n: 2 }, withTimeout(ctx, 50));
    const patient = call("find", { n: 3 });
    assert.equal((await failure(late)).code, "deadline_exceeded");
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, Tracking.name, 1);
    open();
    assert.deepEqual(await Promise.all([first, patient]), [{ n: 1 }, { n: 3 }]);
    assert.deepEqual(made, [1, 3]);
  });

  test("a caller that gives up while its call waits in the queue: it is never made", async (t) => {
    const { service, made, open } = gated();
    await serving(t, service, { maxConcurrentCalls: 1 });
    const { call } = calling(t);
    const first = call("find", { n: 1 });
    await until("it is in hand", () => made.length === 1);
    const inner = withCancel(ctx);
    const second = failure(call("find", { n: 2 }, inner));
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, Tracking.name, 1);
    inner.cancel();
    assert.equal((await second).code, "canceled");
    // That somebody has given up overtakes what waits; a call behind both shows that it has arrived.
    const third = call("find", { n: 3 });
    await hasMessages(channel, Tracking.name, 2);
    open();
    assert.deepEqual(await Promise.all([first, third]), [{ n: 1 }, { n: 3 }]);
    assert.deepEqual(made, [1, 3]);
  });

  test("an instance that drains leaves what comes to the others", async (t) => {
    const { listening: leaving } = await serving(t);
    await serving(t);
    await leaving.drain();
    const { call } = calling(t);
    await Promise.all(Array.from({ length: 20 }, (_, n) => call("book", { n })));
    await leaving.close();
    await call("book", { n: 1 });
  });

  for (const others of [1, 0]) {
    test(`what comes before the broker knows that an instance drains is ${others > 0 ? "made by another, once" : "refused"}`, async (t) => {
      const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
      t.after(() => proxy.close());
      const { listening } = await serving(t, idle, { url: `amqp://127.0.0.1:${proxy.port}` });
      const made: number[] = [];
      const take = (_ctx: unknown, cargo: Cargo): Cargo => (made.push(cargo.n), cargo);
      if (others > 0) await serving(t, implement(Tracking, { find: take, book: take }));
      const { call } = calling(t);
      await call("find", { n: -1 });
      await call("find", { n: -1 });
      made.length = 0;
      proxy.inject({ direction: "toServer", latencyMs: 300 });
      const drained = listening.drain();
      const numbers = Array.from({ length: 20 }, (_, n) => n);
      const answers = await Promise.allSettled(numbers.map((n) => call("book", { n }, withTimeout(ctx, 10_000))));
      await drained;
      for (const [n, answer] of answers.entries()) {
        if (others > 0) assert.deepEqual(answer, { status: "fulfilled", value: { n } });
        else assert.equal(((answer as PromiseRejectedResult).reason as ServiceError).retry?.unprocessed, true);
      }
      assert.deepEqual(
        made.toSorted((a, b) => a - b),
        others > 0 ? numbers : [],
      );
    });
  }

  test("the last instance, while it drains, refuses what comes and what has waited: nothing was done", async (t) => {
    const { service, made, open } = gated();
    const { listening } = await serving(t, service, { maxConcurrentCalls: 1 });
    const { call } = calling(t);
    const first = call("book", { n: 1 });
    await until("it is in hand", () => made.length === 1);
    const waiting = failure(call("book", { n: 2 }));
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, Tracking.name, 1);
    const drained = listening.drain();
    for (const error of [await waiting, await failure(call("book", { n: 3 }))]) {
      assert.equal(error.code, "unavailable");
      assert.match(error.message, /^this instance of cargo\.v1\.Tracking is shutting down$/);
      assert.equal(error.retry?.unprocessed, true);
    }
    open();
    assert.deepEqual(await first, { n: 1 });
    await drained;
    assert.match((await failure(call("book", { n: 4 }))).message, /^nobody serves/);
    assert.equal(made.length, 1);
  });

  test("an instance that is lost: another makes the call if that is lawful, else its caller hears of it", async (t) => {
    const made: string[] = [];
    const noting = (name: string) => (_ctx: unknown, cargo: { n: number }) => {
      made.push(name);
      return cargo;
    };
    await serving(t, implement(Tracking, { find: noting("find"), book: noting("book") }));
    // It takes two calls, and is gone.
    const { connection, channel } = await foreign(t, rabbit.url);
    let taken = 0;
    await channel.consume(Tracking.name, () => taken++, { priority: 10 });
    const { call } = calling(t);
    const found = call("find", { n: 1 });
    const booked = failure(call("book", { n: 2 }));
    await until("it has both", () => taken === 2);
    await connection.close();
    assert.deepEqual(await found, { n: 1 });
    const error = await booked;
    assert.equal(error.code, "unavailable");
    assert.equal(error.retry?.unprocessed, undefined, "it may have been made");
    assert.deepEqual(made, ["find"]);
  });

  test("protobuf goes as protobuf, or as JSON where the client is told so", async (t) => {
    const types: unknown[] = [];
    const weigh = (inner: typeof ctx, request: unknown) => {
      types.push(serverCall(inner)!.headers.get("content-type"));
      return request as never;
    };
    await serving(t, implement(Scales, { weigh }));
    for (const format of ["proto", "json"] as const) {
      const { call } = calling(t, { of: Scales, format });
      const answer = (await call("weigh", { kilos: 7, label: "ü" })) as { kilos: number; label: string };
      assert.equal(answer.kilos, 7);
      assert.equal(answer.label, "ü");
    }
    assert.deepEqual(types, ["application/proto", "application/json"]);
  });

  test("messages of a megabyte, both ways; over the limit they are refused", async (t) => {
    const service = implement(Tracking, {
      find: (_ctx, cargo) => cargo,
      book: (_ctx, { n }) => ({ n, text: "x".repeat(n) }),
    });
    await serving(t, service, { maxMessageBytes: 2_000_000 });
    const { call } = calling(t, { maxMessageBytes: 1_500_000 });
    const text = "x".repeat(1_000_000);
    assert.deepEqual(await call("find", { n: 1, text }), { n: 1, text });
    const generous = calling(t, { maxMessageBytes: 3_000_000 });
    for (const [limit, work] of [
      // Before it is sent, and by whoever receives it.
      [1_500_000, () => call("find", { n: 1, text: "x".repeat(1_800_000) })],
      [2_000_000, () => generous.call("find", { n: 1, text: "x".repeat(2_800_000) })],
      [1_500_000, () => call("book", { n: 1_800_000 })],
      [2_000_000, () => generous.call("book", { n: 2_800_000 })],
    ] as const) {
      const error = await failure(work());
      assert.equal(error.code, "resource_exhausted");
      assert.match(error.message, new RegExp(`over the limit of ${limit} bytes`));
    }
    assert.deepEqual(await call("find", { n: 1 }), { n: 1 });
  });

  test("headers that are too long are refused: by us above 16 KiB, before they are sent above 64 KiB", async (t) => {
    await serving(t);
    const { call } = calling(t);
    for (const length of [20_000, 70_000]) {
      const error = await failure(call("find", { n: 1 }, withHeaders(ctx, { "x-long": "x".repeat(length) })));
      assert.equal(error.code, "resource_exhausted");
    }
    assert.deepEqual(await call("find", { n: 1 }), { n: 1 });
  });

  test("a method whose name does not fit into a message fails its call, and no other", async (t) => {
    await serving(t);
    const endless = contract("cargo.v1.Endless", { [`find${"x".repeat(300)}`]: Tracking.spec.find });
    const connection = amqpClient().connect(rabbit.url);
    t.after(() => connection.close());
    const error = await failure(connection.endpoint(endless.methods[0]!)(ctx, { n: 1 }));
    assert.equal(error.code, "internal");
    assert.match(error.message, /cannot be written/);
    assert.deepEqual(await connection.endpoint(Tracking.methods[0]!)(ctx, { n: 1 }), { n: 1 });
  });

  test("a deadline in a hundred years is none to the broker", async (t) => {
    await serving(t);
    const { call } = calling(t);
    assert.deepEqual(await call("find", { n: 1 }, withTimeout(ctx, 100 * 365 * 86_400_000)), { n: 1 });
  });

  test("no more calls are in flight than allowed", async (t) => {
    const find = (): Promise<never> => new Promise(() => {});
    await serving(t, implement(Tracking, { find, book: find }));
    const { call } = calling(t, { maxConcurrentCalls: 2 });
    const inner = withCancel(ctx);
    const hanging = [call("find", { n: 1 }, inner), call("find", { n: 2 }, inner)].map(failure);
    const error = await failure(call("find", { n: 3 }));
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /that is the limit/);
    inner.cancel();
    await Promise.all(hanging);
  });

  test("a service whose methods all stream has no queue", async (t) => {
    const { listening } = await serving(t, { name: "cargo.v1.Nothing", methods: [] });
    assert.equal(listening.inFlight, 0);
    const { call } = calling(t, { of: contract("cargo.v1.Nothing", { go: CargoEvents.spec.booked }) });
    assert.match((await failure(call("go", { n: 1 }))).message, /nobody serves/);
  });
});

describe("bad input", { skip, timeout: 60_000 }, () => {
  /** Sends a request by hand and waits for the answer. */
  async function ask(channel: Channel, content: Buffer | string, options: object): Promise<ConsumeMessage> {
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const answer = new Promise<ConsumeMessage>((resolve) => {
      void channel.consume(queue, (message) => resolve(message!), { noAck: true });
    });
    channel.sendToQueue(Tracking.name, Buffer.from(content as string), {
      replyTo: queue,
      correlationId: "1",
      ...options,
    });
    return answer;
  }

  test("what cannot be read is answered with a clear error, and the next request is served", async (t) => {
    await serving(t, idle, { maxMessageBytes: 1000 });
    const { channel } = await foreign(t, rabbit.url);
    const type = "cargo.v1.Tracking/find";
    const bad: readonly (readonly [string, RegExp, Buffer | string, object])[] = [
      ["invalid_argument", /the property type must name the method/, "{}", {}],
      ["unimplemented", /cargo\.v1\.Tracking\/sink is not served/, "{}", { type: "cargo.v1.Tracking/sink" }],
      ["unimplemented", /cargo\.v1\.CargoEvents\/booked is not served/, "{}", { type: "cargo.v1.CargoEvents/booked" }],
      ["invalid_argument", /JSON/, "{", { type }],
      ["invalid_argument", /n: expected a number/, "{}", { type }],
      ["invalid_argument", /not UTF-8/, Buffer.from([0xff, 0xfe]), { type }],
      ["invalid_argument", /content-type "text\/xml"/, "{}", { type, contentType: "text/xml" }],
      ["invalid_argument", /content-encoding "gzip"/, "{}", { type, contentEncoding: "gzip" }],
      ["unimplemented", /has no protobuf form/, "\n", { type, contentType: "application/proto" }],
      ["resource_exhausted", /over the limit of 1000 bytes/, " ".repeat(1001), { type }],
      ["invalid_argument", /"no name" is no name of a header/, "{}", { type, headers: { "no name": "" } }],
      ["invalid_argument", /header bad holds a control character/, "{}", { type, headers: { bad: "a\r\nb" } }],
      ["invalid_argument", /connect-timeout-ms must be/, "{}", { type, headers: { "connect-timeout-ms": "soon" } }],
      ["resource_exhausted", /the headers are over the limit/, "{}", { type, headers: { long: "x".repeat(20_000) } }],
    ];
    for (const [code, message, content, options] of bad) {
      const answer = await ask(channel, content, options);
      assert.equal(answer.properties.type, "error");
      assert.equal(answer.properties.correlationId, "1");
      const error = JSON.parse(answer.content.toString()) as { code: string; message: string };
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
    }
    const answer = await ask(channel, '{"n":1}', {
      type,
      headers: { odd: { a: 1 }, flag: true, "connect-timeout-ms": 5000 },
    });
    assert.equal(answer.properties.type, "response");
    assert.equal(answer.content.toString(), '{"n":1}');
    await hasMessages(channel, Tracking.name, 0);
  });

  test("truncated protobuf is invalid, not a message with defaults", async (t) => {
    await serving(t, implement(Scales, { weigh: (_ctx: unknown, request: unknown) => request }));
    const { channel } = await foreign(t, rabbit.url);
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const answers: ConsumeMessage[] = [];
    await channel.consume(queue, (message) => answers.push(message!), { noAck: true });
    const options = { type: "cargo.v1.Scales/Weigh", contentType: "application/proto", replyTo: queue };
    channel.sendToQueue("cargo.v1.Scales", Buffer.from([0x12, 0x7f, 0x61]), options);
    await until("it is answered", () => answers.length === 1);
    assert.equal((JSON.parse(answers[0]!.content.toString()) as { code: string }).code, "invalid_argument");
  });

  test("a request that says no reply queue is served; one that names somebody's own queue is not answered there", async (t) => {
    let made = 0;
    const find = (_ctx: unknown, cargo: { n: number }) => {
      made++;
      return cargo;
    };
    await serving(t, implement(Tracking, { find, book: find }));
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertQueue("somebodys", { exclusive: true });
    const type = "cargo.v1.Tracking/find";
    channel.sendToQueue(Tracking.name, Buffer.from('{"n":1}'), { type });
    channel.sendToQueue(Tracking.name, Buffer.from('{"n":1}'), { type, replyTo: "somebodys" });
    await until("both are made", () => made === 2);
    // Its answer goes behind what was said of both.
    const { call } = calling(t);
    assert.deepEqual(await call("find", { n: 2 }), { n: 2 });
    await hasMessages(channel, Tracking.name, 0);
    await hasMessages(channel, "somebodys", 0);
  });

  test("a reply queue that is none ends no service", async (t) => {
    await serving(t);
    const { channel } = await foreign(t, rabbit.url);
    const { call } = calling(t);
    for (const replyTo of [
      "amq.rabbitmq.reply-to.",
      "amq.rabbitmq.reply-to.g1h2.x",
      "amq.nothing",
      `amq.${"x".repeat(250)}`,
    ]) {
      channel.sendToQueue(Tracking.name, Buffer.from('{"n":1}'), { type: "cargo.v1.Tracking/find", replyTo });
      channel.sendToQueue(Tracking.name, Buffer.from("{"), { type: "cargo.v1.Tracking/find", replyTo });
      // RabbitMQ itself may end the connection of who answers there: with its last consumer the queue is gone, and what waits in it.
      for (let tries = 1; ; tries++) {
        const answer = await call("find", { n: 2 }, withTimeout(ctx, 1000)).catch((error: unknown) => error);
        if (!(answer instanceof ServiceError)) {
          assert.deepEqual(answer, { n: 2 });
          break;
        }
        assert.match(answer.code, /^(?:unavailable|deadline_exceeded)$/);
        assert.ok(tries < 20, `not served again: ${answer.message}`);
        // Not known at once: neither that the connection is lost, nor that there is another.
        if (answer.code === "unavailable") await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await hasMessages(channel, Tracking.name, 0);
  });

  test("whoever sees one call cannot tell by what name the next is answered, or ended", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertQueue(Tracking.name, { durable: true, autoDelete: true, expires: 60_000 });
    const ids: string[] = [];
    const take = ({ properties, content }: ConsumeMessage): void => {
      ids.push(properties.correlationId as string);
      channel.sendToQueue(properties.replyTo as string, content, { correlationId: properties.correlationId as string });
    };
    await channel.consume(Tracking.name, (message) => take(message!), { noAck: true });
    const { call } = calling(t);
    for (const n of [1, 2]) await call("find", { n });
    const [first, second] = ids as [string, string];
    let same = 0;
    while (first[same] === second[same]) same++;
    assert.ok(same < 8, ids.join(" and "));
  });

  test("answers that nobody asked for are counted, those that cannot be read fail their call", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertQueue(Tracking.name, { durable: true, autoDelete: true, expires: 60_000 });
    const answers: (readonly [string, object])[] = [
      ["{", {}],
      ["{}", { type: "error" }],
      ["nonsense", { type: "error" }],
      ["[]", { type: "refused" }],
      ["{}", { contentType: "text/xml" }],
      ['{"n":1}', { headers: { bad: "\n" } }],
    ];
    let asked = 0;
    await channel.consume(
      Tracking.name,
      (message) => {
        const { replyTo, correlationId } = message!.properties;
        const [text, options] = answers[asked++]!;
        channel.sendToQueue(replyTo as string, Buffer.from(text), { correlationId: "someone else's", ...options });
        channel.sendToQueue(replyTo as string, Buffer.from(text), {
          correlationId: correlationId as string,
          ...options,
        });
        // It has been answered.
        channel.sendToQueue(replyTo as string, Buffer.from(text), {
          correlationId: correlationId as string,
          ...options,
        });
      },
      { noAck: true },
    );
    const { call, connector } = calling(t);
    const codes: string[] = [];
    for (const _ of answers) codes.push((await failure(call("find", { n: 1 }))).code);
    assert.deepEqual(codes, ["internal", "unknown", "internal", "unknown", "internal", "internal"]);
    await until("the others are counted", () => connector.unmatchedAnswers === 2 * answers.length);
  });
});

describe("the broker is lost", { skip, timeout: 120_000 }, () => {
  test("calls in flight fail as unavailable; when it is back, listener and client go on", async (t) => {
    let begun = 0;
    const ended: unknown[] = [];
    const find = (inner: CancelContext) =>
      new Promise<never>((_, reject) => {
        begun++;
        inner.signal.addEventListener("abort", () => {
          ended.push(inner.err);
          reject(inner.err);
        });
      });
    const service = implement(Tracking, { find: find as never, book: (_ctx, cargo) => cargo });
    const { listening, reported } = await serving(t, service, { maxReconnectMs: 200 });
    const { call } = calling(t, { maxReconnectMs: 200 });
    const hanging = failure(call("find", { n: 1 }));
    await until("it is in hand", () => begun === 1);
    await rabbit.kill();
    const error = await hanging;
    assert.equal(error.code, "unavailable");
    assert.equal(error.retry?.unprocessed, undefined, "it may have been made");
    await until("the handler is cancelled", () => ended.length === 1);
    assert.equal(listening.inFlight, 0);
    const meanwhile = await failure(call("book", { n: 1 }));
    assert.equal(meanwhile.code, "unavailable");
    assert.equal(meanwhile.retry?.unprocessed, true, "it was not sent");
    assert.match(meanwhile.message, /^cannot reach the broker at amqp:/);
    await rabbit.restart();
    let answer: unknown;
    for (let tries = 0; answer === undefined && tries < 500; tries++) {
      answer = await call("book", { n: 2 }).catch(() => new Promise((resolve) => setTimeout(resolve, 20)));
    }
    assert.deepEqual(answer, { n: 2 });
    assert.ok(reported.length >= 1);
    assert.match(reported[0]!.message, /^lost the broker at amqp:/);
  });

  test("a queue that is deleted while others are still declared is noticed", async (t) => {
    const services = Array.from({ length: 200 }, (_, n) =>
      implement(contract(`cargo.v1.Early${n}`, { find: Tracking.spec.find }), { find: (_ctx, cargo) => cargo }),
    );
    const queue = services[0]!.name;
    const listening = amqp({ url: rabbit.url, connectTimeoutMs: 30_000 }).listen(services, withCancel(ctx));
    const started = listening.then(
      (one) => {
        t.after(() => one.close());
        return true;
      },
      () => false,
    );
    const { connection } = await foreign(t, rabbit.url);
    for (let consumers = 0; consumers === 0; ) {
      const channel = await connection.createChannel();
      // A queue that is not there yet closes the channel.
      channel.on("error", () => {});
      consumers = await channel.checkQueue(queue).then(
        ({ consumerCount }) => consumerCount,
        () => 0,
      );
      if (consumers > 0) await channel.deleteQueue(queue);
    }
    if (await started) {
      // It was deleted a little too late: everything is declared once more.
      const channel = await connection.createChannel();
      await channel.assertQueue(queue, { durable: true, autoDelete: true, expires: 60_000 });
      for (let tries = 0; (await channel.checkQueue(queue)).consumerCount === 0; tries++) {
        assert.ok(tries < 200, "nobody serves it");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });

  test("short of memory, it takes no calls: they fail at once, and nothing was done", async (t) => {
    await serving(t);
    const { call } = calling(t);
    await call("find", { n: 1 });
    t.after(() => rabbit.control("set_vm_memory_high_watermark", "0.4"));
    await rabbit.control("set_vm_memory_high_watermark", "absolute", "1");
    // By this one the broker notices that we would have it take something.
    assert.equal((await failure(call("find", { n: 2 }, withTimeout(ctx, 1000)))).code, "deadline_exceeded");
    const error = await failure(call("book", { n: 3 }, withTimeout(ctx, 60_000)));
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /takes no calls while it is short of memory or disk$/);
    assert.equal(error.retry?.unprocessed, true);
    await rabbit.control("set_vm_memory_high_watermark", "0.4");
    for (let tries = 0; ; tries++) {
      const answer = await call("find", { n: 4 }).catch(() => undefined);
      if (answer !== undefined) break;
      assert.ok(tries < 500, "it never takes calls again");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  test("a connection on which nothing arrives any more is given up and replaced", async (t) => {
    await serving(t);
    const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
    t.after(() => proxy.close());
    const connection = amqpClient({ heartbeatMs: 1000, maxReconnectMs: 100 }).connect(`amqp://127.0.0.1:${proxy.port}`);
    t.after(() => connection.close());
    const find = connection.endpoint(Tracking.methods[0]!);
    assert.deepEqual(await find(ctx, { n: 1 }), { n: 1 });
    const hole = proxy.inject({ blackhole: true, direction: "toClient", connections: "open" });
    const error = await failure(find(withTimeout(ctx, 30_000), { n: 2 }));
    assert.equal(error.code, "unavailable", "found out by heartbeats, long before the deadline");
    assert.match(String(error.cause), /Heartbeat timeout/);
    await until("it is replaced", () => connection.poolState!().open === 1);
    assert.deepEqual(await find(ctx, { n: 3 }), { n: 3 });
    await hole.heal();
  });

  test("a connection that turns bits: calls fail or succeed, none with another's answer, and nothing else breaks", async (t) => {
    await serving(t);
    const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}`, random: seededRandom(7) });
    t.after(() => proxy.close());
    const connection = amqpClient({ maxReconnectMs: 20 }).connect(`amqp://127.0.0.1:${proxy.port}`);
    t.after(() => connection.close());
    const find = connection.endpoint(Tracking.methods[0]!);
    await find(ctx, { n: 0 });
    const noise = proxy.inject({ corrupt: 0.2, direction: "toClient" });
    let failed = 0;
    for (let n = 1; n <= 60; n++) {
      const answer = await find(withTimeout(ctx, 100), { n }).catch((error: unknown) => {
        assert.ok(error instanceof ServiceError, String(error));
        failed++;
      });
      // A bit of the answer itself may be turned: no protocol over TCP notices that.
      assert.ok(answer === undefined || typeof (answer as { n: unknown }).n === "number");
    }
    assert.ok(failed > 0);
    await noise.heal();
    const { call } = calling(t);
    assert.deepEqual(await call("find", { n: 5 }), { n: 5 });
  });
});
