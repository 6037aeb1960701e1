import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { createServer } from "node:tls";
import { VirtualClock } from "flotilla/clock";
import {
  background,
  type CancelContext,
  type Context,
  sleep,
  withCancel,
  withTimeout,
  withValue,
} from "flotilla/context";
import type { Implementation } from "flotilla/contract";
import { errorReporterKey, type Listening, type Middleware } from "flotilla/endpoint";
import { errorInfo, FLOTILLA_DOMAIN, type RetryInfo, ServiceError } from "flotilla/errors";
import { currentTrace, priorityOf, serverCall, withHeaders, withPriority, withTrace } from "flotilla/metadata";
import { concurrencyLimit, rateLimit } from "flotilla/resilience";
import { implement } from "flotilla/service";
import { faultProxy, until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { type ConsumerOptions, consumer } from "./consumer.ts";
import { type Publisher, type PublisherOptions, publisher } from "./publisher.ts";
import { type Cargo, CargoEvents } from "./test-fixtures/cargo.ts";
import { certificate } from "./test-fixtures/certificate.ts";
import { foreign, hasMessages, takeAll } from "./test-fixtures/inspect.ts";

const skip = await skipWithout("rabbitmq-server", "openssl");

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

let groups = 0;

/** A consumer with a queue of its own; closed with the test. */
async function consuming(
  t: TestContext,
  handlers: Partial<Implementation<typeof CargoEvents>>,
  options: Partial<ConsumerOptions> = {},
  use: readonly Middleware[] = [],
): Promise<{ group: string; listening: Listening; reported: ServiceError[]; root: CancelContext }> {
  const group = options.group ?? `group-${++groups}`;
  const nothing = (_ctx: Context, cargo: Cargo): Cargo => cargo;
  const reported: ServiceError[] = [];
  const root = withCancel(withValue(background(), errorReporterKey, (error) => reported.push(error)));
  const service = implement(CargoEvents, { booked: nothing, lost: nothing, ...handlers }, { use });
  const listening = await consumer({ url: rabbit.url, group, serve: [service], ...options }).listen([], root);
  t.after(() => listening.close());
  return { group, listening, reported, root };
}

function publishing(t: TestContext, options: Partial<PublisherOptions> = {}): Publisher<typeof CargoEvents> {
  const events = publisher(CargoEvents, { url: rabbit.url, ...options });
  t.after(() => events[Symbol.asyncDispose]());
  return events;
}

const ctx = background();

/** A middleware that refuses everything, as long as it is told to. */
function refusing(retry?: RetryInfo): { use: Middleware; refuse: (all: boolean) => void; refused: () => number } {
  const details = [errorInfo({ reason: "OVERLOADED", domain: FLOTILLA_DOMAIN })];
  let all = true;
  let refused = 0;
  return {
    use: (next) => (inner, message) => {
      if (!all) return next(inner, message);
      refused++;
      return Promise.reject(new ServiceError("resource_exhausted", "overloaded", { details, ...(retry && { retry }) }));
    },
    refuse: (told) => void (all = told),
    refused: () => refused,
  };
}

/** Whether the broker has such a queue. Asked on a channel of its own, which the broker closes when it has not. */
async function exists(t: TestContext, queue: string): Promise<boolean> {
  const { channel } = await foreign(t, rabbit.url);
  channel.on("error", () => {});
  return channel.checkQueue(queue).then(
    () => true,
    () => false,
  );
}

describe("messages", { skip, timeout: 60_000 }, () => {
  test("reach their handler with headers, trace, priority and an id, and are acknowledged", async (t) => {
    const seen: unknown[] = [];
    const { group, listening } = await consuming(t, {
      booked(inner, cargo) {
        const { headers, peer, protocol } = serverCall(inner)!;
        const trace = currentTrace(inner)?.traceparent;
        seen.push({ cargo, tenant: headers.get("x-tenant"), trace, priority: priorityOf(inner), peer, protocol });
        assert.match(headers.get("idempotency-key")!, /^\S{16}\.0$/);
        return cargo;
      },
    });
    assert.equal(listening.discoverable, false);
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const traced = withPriority(
      withHeaders(withTrace(ctx, { traceparent, tracestate: undefined }), { "x-tenant": "acme" }),
      "critical",
    );
    await publishing(t, { name: "harbour" }).booked(traced, { n: 7, text: "añ😀" });
    await until("it is handled", () => seen.length === 1);
    assert.deepEqual(seen[0], {
      cargo: { n: 7, text: "añ😀" },
      tenant: "acme",
      trace: traceparent,
      priority: "critical",
      peer: "harbour",
      protocol: "amqp",
    });
    await listening.close();
    const { channel } = await foreign(t, rabbit.url);
    assert.equal((await channel.checkQueue(group)).messageCount, 0);
  });

  test("every group gets all, the processes of a group share them, and no more are in hand than allowed", async (t) => {
    const got = { a1: [] as number[], a2: [] as number[], b: [] as number[] };
    let most = 0;
    let inHand = 0;
    const taking = (into: number[]) => ({
      async booked(_ctx: Context, cargo: Cargo) {
        most = Math.max(most, ++inHand);
        await new Promise((resolve) => setImmediate(resolve));
        inHand--;
        into.push(cargo.n);
        return cargo;
      },
    });
    const { group } = await consuming(t, taking(got.a1), { maxConcurrentCalls: 2 });
    await consuming(t, taking(got.a2), { group, maxConcurrentCalls: 2 });
    await consuming(t, taking(got.b), { maxConcurrentCalls: 3 });
    const events = publishing(t);
    await Promise.all(Array.from({ length: 200 }, (_, n) => events.booked(ctx, { n })));
    await until("all is handled", () => got.a1.length + got.a2.length === 200 && got.b.length === 200);
    assert.deepEqual(
      [...got.a1, ...got.a2].sort((a, b) => a - b),
      [...got.b].sort((a, b) => a - b),
    );
    assert.ok(got.a1.length > 0 && got.a2.length > 0);
    assert.ok(most <= 7, `${most} at once`);
  });

  test("one whose handler fails comes again, later each time, and goes to the dead letters with the reason", async (t) => {
    const times: number[] = [];
    const { group, reported } = await consuming(
      t,
      {
        booked(inner) {
          times.push(inner.clock.now());
          throw new ServiceError("resource_exhausted", "the hold is full");
        },
      },
      { maxDeliveries: 3, retryDelayMs: 100 },
    );
    await publishing(t).booked(withHeaders(ctx, { "x-tenant": "acme" }), { n: 1 });
    await until("it is given up", () => reported.length === 1, 20_000);
    assert.equal(times.length, 3);
    assert.ok(times[1]! - times[0]! >= 99, "the first pause");
    assert.ok(times[2]! - times[1]! >= 199, "the second pause");
    assert.match(
      reported[0]!.message,
      /^message \S+ of cargo.v1.CargoEvents\/booked went to \S+\.dead after 3 deliveries: the hold is full$/,
    );
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, `${group}.dead`, 1);
    const [dead] = await takeAll(channel, `${group}.dead`);
    const { headers, type } = dead!.properties;
    assert.equal(type, "cargo.v1.CargoEvents/booked");
    assert.equal(headers!["x-tenant"], "acme");
    assert.equal(headers!["x-deliveries"], 3);
    assert.equal(headers!["x-dead-reason"], "failed");
    assert.equal(headers!["x-dead-code"], "resource_exhausted");
    assert.equal(headers!["x-dead-message"], "the hold is full");
    assert.equal(dead!.content.toString(), '{"n":1}');
  });

  test("one that fails once is handled in the end", async (t) => {
    let calls = 0;
    const { group, reported } = await consuming(
      t,
      {
        booked(_ctx, cargo) {
          // As a call says that was retried in vain further down.
          if (++calls === 1) throw new ServiceError("unavailable", "not yet", { retry: { never: true } });
          return cargo;
        },
      },
      { retryDelayMs: 1 },
    );
    await publishing(t).booked(ctx, { n: 1 });
    await until("it is handled", () => calls === 2);
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, group, 0);
    await hasMessages(channel, `${group}.dead`, 0);
    assert.deepEqual(reported, []);
  });

  test("one whose handler asks for time gets as much, up to the longest pause", async (t) => {
    const times: number[] = [];
    const { group, reported } = await consuming(
      t,
      {
        booked(inner) {
          times.push(inner.clock.now());
          const afterMs = times.length === 1 ? 300 : 60_000;
          throw new ServiceError("unavailable", "the harbour is closed", { retry: { afterMs } });
        },
      },
      { maxDeliveries: 3, retryDelayMs: 50, maxRetryDelayMs: 600 },
    );
    await publishing(t).booked(ctx, { n: 1 });
    await until("it is given up", () => reported.length === 1, 20_000);
    const pauses = times.slice(1).map((ms, i) => ms - times[i]!);
    assert.ok(pauses[0]! >= 390 && pauses[1]! >= 590 && pauses[1]! < 5000, pauses.join());
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, `${group}.dead`, 1);
  });

  test("one that a policy refuses stays in hand until it is taken, and that is not held against it", async (t) => {
    const taken: number[] = [];
    const tries: number[] = [];
    const { use, refuse } = refusing({ afterMs: 20 });
    const counting: Middleware = (next) => (inner, cargo) => {
      tries.push(inner.clock.now());
      return next(inner, cargo);
    };
    const booked = (_ctx: Context, cargo: Cargo): Cargo => {
      taken.push(cargo.n);
      return cargo;
    };
    const { group, reported } = await consuming(t, { booked }, { maxDeliveries: 1, maxConcurrentCalls: 10 }, [
      counting,
      use,
    ]);
    const events = publishing(t);
    await Promise.all(Array.from({ length: 100 }, (_, n) => events.booked(ctx, { n })));
    await until("it was refused again and again", () => tries.length >= 30);
    const { channel } = await foreign(t, rabbit.url);
    await hasMessages(channel, group, 90);
    // The first ten together, then one each 20 ms.
    const tookMs = tries[29]! - tries[0]!;
    assert.ok(tookMs >= 19 * 19, `30 tries in ${tookMs} ms`);
    assert.deepEqual(taken, []);
    refuse(false);
    await until("all are handled", () => taken.length === 100);
    assert.deepEqual(
      taken.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, n) => n),
    );
    assert.deepEqual(reported, []);
    await hasMessages(channel, `${group}.dead`, 0);
  });

  test("a rate limit is used up, and a limit of concurrency kept full, whatever is in hand", async (t) => {
    const limits = {
      rate: rateLimit({ perSecond: 100, burst: 1 }),
      concurrency: concurrencyLimit({ limit: 2, maxQueued: 0 }),
    };
    for (const [name, limit] of Object.entries(limits)) {
      const times: number[] = [];
      const booked = async (inner: Context, cargo: Cargo): Promise<Cargo> => {
        await sleep(inner, 10);
        times.push(inner.clock.now());
        return cargo;
      };
      const { group, reported } = await consuming(t, { booked }, { maxDeliveries: 1 }, [limit]);
      const events = publishing(t);
      await Promise.all(Array.from({ length: 100 }, (_, n) => events.booked(ctx, { n })));
      await until("all are handled", () => times.length === 100);
      const tookMs = times.at(-1)! - times[0]!;
      // 990 ms and 490 ms, if the machine had nothing else to do.
      assert.ok(tookMs > (name === "rate" ? 950 : 450) && tookMs < 5000, `${name}: ${tookMs} ms`);
      assert.deepEqual(reported, []);
      const { channel } = await foreign(t, rabbit.url);
      await hasMessages(channel, `${group}.dead`, 0);
    }
  });

  test("one that is refused is given back when its process goes, and another takes it", async (t) => {
    const { use, refused } = refusing();
    const { group, listening } = await consuming(t, {}, {}, [use]);
    await publishing(t).booked(ctx, { n: 1 });
    await until("it is refused", () => refused() > 0);
    await listening.drain();
    await listening.close();
    const taken: number[] = [];
    const booked = (_ctx: Context, cargo: Cargo): Cargo => (taken.push(cargo.n), cargo);
    await consuming(t, { booked }, { group });
    await until("another has it", () => taken.length === 1);
  });

  test("one that is refused for minutes waits outside, and no delivery is counted", async (t) => {
    const clock = new VirtualClock();
    const { use, refused, refuse } = refusing();
    const taken: unknown[] = [];
    const booked = (inner: Context, cargo: Cargo): Cargo => {
      taken.push([cargo.n, serverCall(inner)!.headers.get("x-deliveries")]);
      return cargo;
    };
    const options = { clock, maxDeliveries: 1, retryDelayMs: 100, maxRetryDelayMs: 200 };
    const { group, reported } = await consuming(t, { booked }, options, [use]);
    await publishing(t).booked(ctx, { n: 1 });
    await until("it is refused", () => refused() > 0);
    const { channel } = await foreign(t, rabbit.url);
    assert.equal(await exists(t, `${group}.retry.200`), false);
    await clock.advance(301_000);
    refuse(false);
    await until("it is handled", () => taken.length === 1);
    assert.deepEqual(taken, [[1, undefined]]);
    assert.deepEqual(reported, []);
    assert.equal(await exists(t, `${group}.retry.200`), true);
    await hasMessages(channel, group, 0);
    // The broker has had time to write what it was told.
    await clock.advance(1000);
  });

  test("what no handler could ever take goes to the dead letters at once", async (t) => {
    const { group, reported } = await consuming(
      t,
      {
        booked: () => assert.fail("called"),
        lost() {
          throw new ServiceError("failed_precondition", "it was never booked", { retry: { never: true } });
        },
      },
      { maxMessageBytes: 1000 },
    );
    const { channel } = await foreign(t, rabbit.url);
    const type = "cargo.v1.CargoEvents/booked";
    const send = (content: Buffer | string, options: object): boolean =>
      channel.sendToQueue(group, Buffer.from(content as string), options);
    send("{", { type });
    send('{"n":"1"}', { type });
    send(Buffer.from([0xff, 0xfe]), { type });
    send('{"n":1}', { type, contentType: "text/xml" });
    send('{"n":1}', { type, contentEncoding: "gzip" });
    send('{"n":1}', { type, contentType: "application/proto" });
    send('{"n":1}', { type: "cargo.v1.CargoEvents/sunk" });
    send('{"n":1}', {});
    send(`{"n":1,"text":"${"x".repeat(1000)}"}`, { type });
    send('{"n":1}', { type, headers: { "no name": "x" } });
    send('{"n":1}', { type, headers: { bad: "line\nbreak" } });
    send('{"n":1}', { type, headers: { long: "x".repeat(17_000) } });
    await publishing(t).lost(ctx, { n: 1 });
    await hasMessages(channel, `${group}.dead`, 13);
    const dead = await takeAll(channel, `${group}.dead`);
    for (const { properties } of dead) {
      assert.equal(properties.headers!["x-deliveries"], 1);
      assert.equal(properties.headers!["x-dead-reason"], "refused");
    }
    const codes = dead.map(({ properties }) => properties.headers!["x-dead-code"] as string).sort();
    assert.deepEqual(codes, [
      "failed_precondition",
      ...Array.from({ length: 9 }, () => "invalid_argument"),
      ...Array.from({ length: 3 }, () => "unimplemented"),
    ]);
    assert.equal(reported.length, 13);
    await hasMessages(channel, group, 0);
  });

  test("a message by which its consumers die goes to the dead letters in the end", async (t) => {
    const { group, listening } = await consuming(t, {});
    await listening.close();
    const { connection, channel } = await foreign(t, rabbit.url);
    await publishing(t).booked(ctx, { n: 1 });
    let deaths = 0;
    for (; (await channel.checkQueue(`${group}.dead`)).messageCount === 0 && deaths < 100; deaths++) {
      const dying = await connection.createChannel();
      await dying.get(group);
      await dying.close();
    }
    assert.ok(deaths >= 20 && deaths < 30, `after ${deaths} deaths`);
    const [dead] = await takeAll(channel, `${group}.dead`);
    assert.equal(dead!.properties.headers!["x-death"]![0]!.reason, "delivery_limit");
  });

  test("a dead letter of the broker that is handled again may fail again", async (t) => {
    let handled = 0;
    const { group } = await consuming(
      t,
      {
        booked(_ctx, cargo) {
          if (++handled === 1) throw new ServiceError("unavailable", "not now");
          return cargo;
        },
      },
      { retryDelayMs: 50 },
    );
    const { channel } = await foreign(t, rabbit.url);
    const death = { queue: group, reason: "delivery_limit", count: 1, exchange: "", "routing-keys": [group] };
    const options = { type: "cargo.v1.CargoEvents/booked", persistent: true, headers: { "x-death": [death] } };
    channel.sendToQueue(group, Buffer.from('{"n":1}'), options);
    await until("it is handled again", () => handled === 2);
  });

  test("one that fails goes to its own next queue only, wherever its sender would have copies of it", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const { group, reported } = await consuming(t, {
      booked() {
        throw new ServiceError("invalid_argument", "never");
      },
    });
    channel.publish(CargoEvents.name, "booked", Buffer.from('{"n":1}'), { headers: { CC: [queue], BCC: [queue] } });
    await until("it has failed", () => reported.length === 1);
    await hasMessages(channel, `${group}.dead`, 1);
    assert.equal((await channel.checkQueue(queue)).messageCount, 0);
  });

  test("one that cannot be moved stays in hand, its handler not called again, until the other queue is back", async (t) => {
    let handled = 0;
    const { group, reported } = await consuming(t, {
      booked() {
        handled++;
        throw new ServiceError("invalid_argument", "never");
      },
    });
    const { channel } = await foreign(t, rabbit.url);
    await channel.deleteQueue(`${group}.dead`);
    await publishing(t).booked(ctx, { n: 1 });
    await until("it has failed", () => reported.length === 1);
    for (let tries = 0; !(await exists(t, `${group}.dead`)); tries++) {
      assert.ok(tries < 500, "it is not declared again");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await hasMessages(channel, `${group}.dead`, 1);
    assert.equal(handled, 1);
  });

  test("what cannot be written once more is moved by the broker, as it is", async (t) => {
    const { group, reported } = await consuming(t, {});
    const { channel } = await foreign(t, rabbit.url);
    const exchange = `long.${"x".repeat(240)}`;
    await channel.assertExchange(exchange, "fanout", { autoDelete: true });
    await channel.bindQueue(group, exchange, "");
    channel.publish(exchange, "y".repeat(200), Buffer.from('{"n":1}'));
    await hasMessages(channel, `${group}.dead`, 1);
    assert.match(reported[0]!.message, /is not consumed by/);
    const [dead] = await takeAll(channel, `${group}.dead`);
    assert.equal(dead!.properties.headers!["x-death"]![0]!.reason, "rejected");
  });

  test("middlewares stand around the handler", async (t) => {
    const names: string[] = [];
    const noting: Middleware = (next, method) =>
      function noting(inner, request) {
        names.push(method.procedure);
        return next(inner, request);
      };
    await consuming(t, {}, {}, [noting]);
    const events = publishing(t, { use: [noting] });
    await events.booked(ctx, { n: 1 });
    await until("both have seen it", () => names.length === 2);
    assert.deepEqual(names, ["cargo.v1.CargoEvents/booked", "cargo.v1.CargoEvents/booked"]);
  });
});

describe("publishing", { skip, timeout: 60_000 }, () => {
  test("a message that no queue takes is an error, unless that is as it should be", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.deleteExchange(CargoEvents.name);
    const events = publishing(t);
    const error = await events.booked(ctx, { n: 1 }).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "unavailable");
    assert.equal(error.message, "no queue takes cargo.v1.CargoEvents/booked");
    assert.equal(error.retry?.unprocessed, true);
    await publishing(t, { mandatory: false }).booked(ctx, { n: 1 });
  });

  test("a message that the broker refuses is an error", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertExchange(CargoEvents.name, "topic", { durable: true });
    await channel.assertQueue("full", {
      exclusive: true,
      arguments: { "x-max-length": 1, "x-overflow": "reject-publish" },
    });
    await channel.bindQueue("full", CargoEvents.name, "booked");
    const events = publishing(t);
    await events.booked(ctx, { n: 1 });
    const error = await events.booked(ctx, { n: 2 }).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "unavailable");
    assert.equal(error.message, "the broker refused the message: a queue is full, or failed");
    await takeAll(channel, "full");
    await events.booked(ctx, { n: 3 });
  });

  test("more than may be unconfirmed wait their turn, in order", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertExchange(CargoEvents.name, "topic", { durable: true });
    await channel.assertQueue("order", { exclusive: true });
    await channel.bindQueue("order", CargoEvents.name, "#");
    const events = publishing(t, { maxUnconfirmed: 2 });
    await Promise.all(Array.from({ length: 50 }, (_, n) => events.booked(ctx, { n })));
    const got = (await takeAll(channel, "order")).map(({ content }) => (JSON.parse(content.toString()) as Cargo).n);
    assert.deepEqual(
      got,
      Array.from({ length: 50 }, (_, n) => n),
    );
  });
});

describe("the connection", { skip, timeout: 60_000 }, () => {
  test("what was not confirmed when it was lost is published again, with the same id", async (t) => {
    const { channel } = await foreign(t, rabbit.url);
    await channel.assertExchange(CargoEvents.name, "topic", { durable: true });
    await channel.assertQueue("twice", { exclusive: true });
    await channel.bindQueue("twice", CargoEvents.name, "#");
    const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
    t.after(() => proxy.close());
    const events = publishing(t, { url: `amqp://127.0.0.1:${proxy.port}`, maxReconnectMs: 20 });
    await events.booked(ctx, { n: 1 });
    const hole = proxy.inject({ direction: "toClient", blackhole: true, connections: "open" });
    const all = Promise.all([2, 3, 4].map((n) => events.booked(ctx, { n })));
    await hasMessages(channel, "twice", 4);
    await proxy.inject({ reset: true, connections: "open" }).heal();
    await all;
    await hole.heal();
    const ids = (await takeAll(channel, "twice")).map(({ properties }) => properties.messageId as string);
    assert.equal(ids.length, 7);
    assert.equal(new Set(ids).size, 4);
  });

  test("while the broker is short of memory messages wait, and those who give up are told why", async (t) => {
    await consuming(t, {});
    const events = publishing(t);
    await events.booked(ctx, { n: 1 });
    t.after(() => rabbit.control("set_vm_memory_high_watermark", "0.4"));
    await rabbit.control("set_vm_memory_high_watermark", "absolute", "1");
    const waiting = events.booked(withTimeout(ctx, 60_000), { n: 2 });
    const error = await events.booked(withTimeout(ctx, 1000), { n: 3 }).catch((thrown: unknown) => thrown);
    assert.match(String(error), /has not confirmed the message: it takes none while it is short of memory or disk$/);
    await rabbit.control("set_vm_memory_high_watermark", "0.4");
    await waiting;
    await events.booked(ctx, { n: 4 });
  });

  test("what is on the wire takes up room for as long as it is there, whoever has given up", async (t) => {
    const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
    t.after(() => proxy.close());
    const url = `amqp://127.0.0.1:${proxy.port}`;
    const events = publishing(t, { url, mandatory: false, maxWaitingBytes: 1000, maxReconnectMs: 20 });
    await events.booked(ctx, { n: 1 });
    const hole = proxy.inject({ direction: "toClient", blackhole: true, connections: "open" });
    const long = { n: 2, text: "x".repeat(600) };
    const codes: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      codes.push(
        await events.booked(withTimeout(ctx, 50), long).catch((error: unknown) => ServiceError.from(error).code),
      );
    }
    assert.deepEqual(codes, ["deadline_exceeded", "resource_exhausted"]);
    await proxy.inject({ reset: true, connections: "open" }).heal();
    await hole.heal();
    await until("it is connected again", () => proxy.counts.accepted === 2);
    await events.booked(ctx, { n: 3, text: "x".repeat(900) });
  });

  test("amqps: with TLS, whose certificates are checked", async (t) => {
    const secret = await certificate();
    const secure = createServer(secret, (socket) => {
      const onward = connect(rabbit.port, "127.0.0.1");
      for (const one of [socket, onward]) one.on("error", () => {});
      socket.pipe(onward).pipe(socket);
    });
    secure.listen(0, "127.0.0.1");
    await once(secure, "listening");
    t.after(() => secure.close());
    const url = `amqps://127.0.0.1:${(secure.address() as AddressInfo).port}`;
    const trusting = publishing(t, { url, mandatory: false, tls: { ca: secret.cert } });
    await trusting.booked(ctx, { n: 1 });
    const suspicious = publisher(CargoEvents, { url, mandatory: false });
    const error = await suspicious.booked(withTimeout(ctx, 300), { n: 1 }).catch((thrown: unknown) => thrown);
    assert.equal((error as ServiceError).code, "deadline_exceeded");
    await suspicious[Symbol.asyncDispose]();
  });
});

describe("queues", { skip, timeout: 60_000 }, () => {
  test("a queue that is deleted under its consumer is declared again", async (t) => {
    const got: number[] = [];
    const { group, reported } = await consuming(
      t,
      {
        booked(_ctx, cargo) {
          got.push(cargo.n);
          return cargo;
        },
      },
      { maxReconnectMs: 50 },
    );
    const events = publishing(t);
    await events.booked(ctx, { n: 1 });
    await until("it is handled", () => got.length === 1);
    const { channel } = await foreign(t, rabbit.url);
    await channel.deleteQueue(group);
    await until("it is told", () => reported.length === 1);
    assert.match(reported[0]!.message, /trying again: the queue \S+ was deleted$/);
    for (let tries = 0; got.length < 2 && tries < 500; tries++) {
      await events.booked(ctx, { n: 2 }).catch(() => new Promise((resolve) => setTimeout(resolve, 20)));
    }
    await until("the next is handled", () => got.length >= 2);
  });

  test("one that is declared by somebody else, and otherwise, before its consumer can: it says why, once", async (t) => {
    const { group, reported, listening } = await consuming(
      t,
      {},
      { maxReconnectMs: 300, random: { next: () => 0.99 } },
    );
    const { channel } = await foreign(t, rabbit.url);
    const deleted = channel.deleteQueue(group);
    await channel.assertQueue(group, { durable: true });
    await deleted;
    await until("it is told", () => reported.length === 2);
    assert.match(reported[0]!.message, /trying again: the queue \S+ was deleted$/);
    assert.match(reported[1]!.message, /^cannot use the broker at .*406 \(PRECONDITION-FAILED\)/);
    assert.equal(listening.connections, 0);
    await channel.deleteQueue(group);
    await until("it consumes again", () => listening.connections === 1);
    assert.equal(reported.length, 2);
  });

  test("one that is there already and is other than ours keeps a consumer from starting, and it says why", async (t) => {
    const { group } = await consuming(t, {});
    await assert.rejects(
      consuming(t, {}, { group, maxQueueMessages: 7 }),
      /^Error: consumer: cannot use the broker at \S+: Operation failed: QueueDeclare; 406 \(PRECONDITION-FAILED\).*inequivalent arg 'x-max-length' for queue/,
    );
  });
});
