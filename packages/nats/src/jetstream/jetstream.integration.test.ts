import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { type JetStreamManager, jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { systemClock } from "flotilla/clock";
import { background, type Context, sleep, withTimeout, withValue } from "flotilla/context";
import { contract, type Implementation, type Schema, serverStream, unary } from "flotilla/contract";
import { errorReporterKey, type MethodInfo, type Middleware } from "flotilla/endpoint";
import { errorInfo, FLOTILLA_DOMAIN, ServiceError } from "flotilla/errors";
import { serverCall, withHeaders, withResponseObserver } from "flotilla/metadata";
import { host, implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { skipWithout } from "../../../../scripts/servers.ts";
import { natsClient } from "../client.ts";
import { nats } from "../server.ts";
import { anything, clientOf, failureOf, Gate } from "../test-fixtures/bed.ts";
import { TestNats } from "../test-fixtures/nats-server.ts";
import { jetstreamClient } from "./client.ts";
import type { JetStreamOptions } from "./options.ts";
import { jetstream } from "./server.ts";
import { durableOf } from "./streams.ts";

const skip = await skipWithout("nats-server");

interface Order {
  readonly id: string;
}

let contracts = 0;
/** A contract of its own for each test: its subjects and streams are nobody else's. */
function orders() {
  const name = `shop.v1.Orders${contracts++}`;
  return contract(name, {
    placed: unary({ input: anything<Order>(), output: anything<object>(), idempotent: true }),
    paid: unary({ input: anything<Order>(), output: anything<object>() }),
  });
}
type Orders = ReturnType<typeof orders>;

describe("JetStream", { skip }, () => {
  let broker: TestNats;
  before(async () => {
    broker = await TestNats.start("max_payload: 65536");
  });
  after(() => broker?.stop());

  interface Bed {
    readonly Orders: Orders;
    readonly stream: string;
    readonly manager: JetStreamManager;
    readonly plain: NatsConnection;
    publish(ctx: Context, order: Order): Promise<object>;
    consume(
      methods: Partial<Implementation<Orders>>,
      options?: Partial<JetStreamOptions>,
    ): Promise<Awaited<ReturnType<ReturnType<typeof jetstream>["listen"]>>>;
    /** What there is for the group to do: waiting, in hand, and the ids of dead letters. */
    left(group?: string): Promise<{ waiting: number; inHand: number }>;
    dead(): Promise<{ id: string; reason: string }[]>;
  }

  async function bed(t: TestContext): Promise<Bed> {
    const Orders = orders();
    const stream = Orders.name.replaceAll(".", "_");
    const plain = await broker.client();
    const manager = await jetstreamManager(plain);
    const connection = jetstreamClient().connect(broker.address);
    const closing: (() => Promise<void>)[] = [() => connection.close(), () => plain.close()];
    t.after(async () => {
      for (const close of closing) await close();
    });
    const client = clientOf(Orders, connection);
    return {
      Orders,
      stream,
      manager,
      plain,
      publish: (ctx, order) => client.placed(ctx, order),
      async consume(methods, options = {}) {
        const all: Implementation<Orders> = { placed: () => ({}), paid: () => ({}), ...methods };
        const listener = jetstream({
          servers: broker.address,
          stream,
          retryDelayMs: 20,
          maxRetryDelayMs: 50,
          ...options,
        });
        const listening = await listener.listen([implement(Orders, all)], background());
        closing.unshift(() => listening.close());
        return listening;
      },
      async left(group = "workers") {
        const info = await manager.consumers.info(stream, durableOf(group, Orders.name));
        return { waiting: info.num_pending, inHand: info.num_ack_pending };
      },
      async dead() {
        const { state } = await manager.streams.info(`${stream}-dead`);
        const letters = [];
        for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
          const letter = await manager.streams.getMessage(`${stream}-dead`, { seq });
          letters.push({ id: letter!.string(), reason: letter!.header.get("Flotilla-Dead-Reason") });
        }
        return letters;
      },
    };
  }
  const ctx = background();

  test("what is published is handled, with its headers, and acknowledged", async (t) => {
    const { consume, publish, left } = await bed(t);
    const seen: unknown[] = [];
    await consume({
      placed(inner, { id }) {
        const call = serverCall(inner)!;
        seen.push([id, call.headers.get("x-tenant"), call.protocol, inner.deadline !== undefined]);
        return {};
      },
    });
    const told: string[] = [];
    const observed = withResponseObserver(withHeaders(withTimeout(ctx, 5000), { "x-tenant": "acme" }), (head) =>
      told.push(`${head.get("nats-sequence")}`),
    );
    assert.deepEqual(await publish(observed, { id: "o-1" }), {});
    await until("the order is handled", () => seen.length === 1);
    assert.deepEqual(seen, [["o-1", "acme", "jetstream", true]]);
    assert.deepEqual(told, ["1"]);
    await settled(left);
  });

  test("a message that failed comes again, later each time, until it is handled", async (t) => {
    const { consume, publish, left, dead } = await bed(t);
    const at: number[] = [];
    await consume({
      placed() {
        // As a call says that was retried in vain further down.
        const retry = { never: true };
        if (at.push(systemClock.now()) < 4) throw new ServiceError("unavailable", "the bank is closed", { retry });
        return {};
      },
    });
    await publish(ctx, { id: "o-1" });
    await until("it is handled at last", () => at.length === 4);
    await settled(left);
    assert.ok(at[1]! - at[0]! >= 14 && at[3]! - at[2]! >= 36, `deliveries at ${at.join(", ")}`);
    assert.deepEqual(await dead(), []);
  });

  test("what fails too often, for good, or cannot be read becomes a dead letter, with the reason", async (t) => {
    const { Orders, consume, publish, plain, left, dead } = await bed(t);
    let handled = 0;
    await consume(
      {
        placed(_ctx, { id }) {
          handled++;
          if (id === "never")
            throw new ServiceError("failed_precondition", "no such customer", { retry: { never: true } });
          throw new ServiceError("unavailable", "the bank is closed");
        },
      },
      { maxDeliveries: 3 },
    );
    await publish(ctx, { id: "never" });
    await until("the first is dead", () => handled === 1);
    await settled(left);
    await publish(ctx, { id: "often" });
    await until("it was delivered three times", () => handled === 4);
    await settled(left);
    const subject = `flotilla-events.${Orders.name}`;
    plain.publish(`${subject}.placed`, "{ this is no JSON");
    await plain.flush();
    await untilAsync("three are dead", async () => (await dead()).length === 3);
    plain.publish(`${subject}.nothing`, "{}");
    const strange = headers();
    strange.append("content-type", "text/plain");
    plain.publish(`${subject}.placed`, "hello", { headers: strange });
    await untilAsync("five are dead", async () => (await dead()).length === 5);
    const reasons = (await dead()).map(({ reason }) => reason);
    assert.equal(reasons[0], "failed_precondition: no such customer");
    assert.equal(reasons[1], "unavailable: the bank is closed");
    assert.match(reasons[2]!, /^invalid_argument: /);
    assert.match(reasons[3]!, /^unimplemented: nobody handles flotilla-events\./);
    assert.match(reasons[4]!, /^unimplemented: content-type must be/);
    assert.equal(handled, 4, "what cannot be read reaches no handler");
    await settled(left);
  });

  test("a dead letter that is published to its subject again is handled again, with its headers", async (t) => {
    const { stream, consume, publish, plain, left, dead } = await bed(t);
    let mended = false;
    const seen: unknown[] = [];
    await consume({
      placed(inner, { id }) {
        const { headers: got } = serverCall(inner)!;
        seen.push([id, got.get("x-tenant"), [...got.entries()].filter(([name]) => /^(nats|flotilla)-/.test(name))]);
        if (!mended) throw new ServiceError("invalid_argument", "no such customer");
        return {};
      },
    });
    await replay(plain, stream);
    await publish(withHeaders(ctx, { "x-tenant": "acme", "idempotency-key": "k-1" }), { id: "o-1" });
    await untilAsync("it is dead", async () => (await dead()).length === 1);
    mended = true;
    await replay(plain, stream);
    await until("it is handled", () => seen.length === 2);
    assert.deepEqual(seen[1], ["o-1", "acme", []]);
    assert.deepEqual(await dead(), []);
    await settled(left);
    const code = readFileSync(import.meta.filename, "utf8");
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const shown = /^async function replay.*?^}$/ms;
    assert.equal(readme.match(shown)?.[0], code.match(shown)?.[0], "what the README shows is what runs here");
  });

  test("malformed headers end in a dead letter, not in an endless loop", async (t) => {
    const { Orders, consume, dead, left } = await bed(t);
    await consume({ placed: () => assert.fail("called") });
    await rawPublish(broker.port, `flotilla-events.${Orders.name}.placed`, "NATS/1.0\r\nno colon here\r\n\r\n", "{}");
    await untilAsync("it is dead", async () => (await dead()).length === 1);
    assert.match((await dead())[0]!.reason, /^invalid_argument: malformed NATS headers/);
    await settled(left);
  });

  test("the same key is stored once", async (t) => {
    const { consume, publish, left } = await bed(t);
    const seen: string[] = [];
    await consume({
      placed(_ctx, { id }) {
        seen.push(id);
        return {};
      },
    });
    const heads: (string | undefined)[] = [];
    const keyed = withResponseObserver(withHeaders(ctx, { "idempotency-key": '"k-1"' }), (head) =>
      heads.push(head.get("nats-duplicate")),
    );
    await publish(keyed, { id: "first" });
    await publish(keyed, { id: "again" });
    await publish(ctx, { id: "other" });
    await until("both are handled", () => seen.length === 2);
    await settled(left);
    assert.deepEqual(seen.toSorted(), ["first", "other"]);
    assert.deepEqual(heads, [undefined, "true"]);
  });

  test("groups get every message, the processes of a group share them", async (t) => {
    const { consume, publish, left } = await bed(t);
    const seen: string[] = [];
    const noting = (who: string): Partial<Implementation<Orders>> => ({
      placed(_ctx, { id }) {
        seen.push(`${who} ${id}`);
        return {};
      },
    });
    await consume(noting("billing"), { group: "billing", maxConcurrentCalls: 1 });
    await consume(noting("billing"), { group: "billing", maxConcurrentCalls: 1 });
    await consume(noting("shipping"), { group: "shipping" });
    for (let n = 0; n < 20; n++) await publish(ctx, { id: String(n) });
    await until("all are handled twice", () => seen.length === 40);
    await settled(() => left("billing"));
    await settled(() => left("shipping"));
    assert.equal(new Set(seen).size, 40);
  });

  test("no more are in hand than slots, whatever waits", async (t) => {
    const { consume, publish, left } = await bed(t);
    let now = 0;
    let most = 0;
    let done = 0;
    const gate = new Gate();
    const listening = await consume(
      {
        async placed() {
          most = Math.max(most, ++now);
          await gate.open;
          now--;
          done++;
          return {};
        },
      },
      { maxConcurrentCalls: 3 },
    );
    for (let n = 0; n < 30; n++) await publish(ctx, { id: String(n) });
    await until("all slots are taken", () => now === 3);
    assert.deepEqual(await left(), { waiting: 27, inHand: 3 });
    assert.equal(listening.inFlight, 3);
    gate.set();
    await until("all are handled", () => done === 30);
    assert.equal(most, 3);
    await settled(left);
  });

  test("a handler that takes longer than the broker waits keeps its message", async (t) => {
    const { consume, publish, left } = await bed(t);
    let begun = 0;
    const gate = new Gate();
    await consume(
      {
        async placed() {
          begun++;
          await gate.open;
          return {};
        },
      },
      { ackWaitMs: 1000 },
    );
    await publish(ctx, { id: "slow" });
    await until("it has begun", () => begun === 1);
    const since = systemClock.now();
    await until("twice the wait has passed", () => systemClock.now() - since > 2200);
    gate.set();
    await settled(left);
    assert.equal(begun, 1, "it was delivered once");
  });

  test("a listener that stops finishes what is in hand and gives back the rest at once", async (t) => {
    const { consume, publish, left } = await bed(t);
    const seen: string[] = [];
    const gate = new Gate();
    const begun = new Gate();
    const first = await consume(
      {
        async placed(_ctx, { id }) {
          begun.set();
          await gate.open;
          seen.push(id);
          return {};
        },
      },
      { maxConcurrentCalls: 4 },
    );
    for (let n = 0; n < 50; n++) await publish(ctx, { id: String(n) });
    await begun.open;
    const drained = first.drain();
    gate.set();
    await drained;
    await first.close();
    const mine = seen.length;
    assert.ok(mine >= 1 && mine <= 4, `${mine} were in hand`);
    assert.deepEqual(await left(), { waiting: 50 - mine, inHand: 0 });
    await consume({
      placed(_ctx, { id }) {
        seen.push(id);
        return {};
      },
    });
    await until("all are handled", () => seen.length === 50);
    assert.equal(new Set(seen).size, 50, "each once: nothing was lost, nothing came twice");
  });

  test("a listener that closes cancels its handlers, and gives their messages back", async (t) => {
    const { consume, publish, left } = await bed(t);
    const begun = new Gate();
    let cause: unknown;
    const first = await consume({
      placed(inner) {
        begun.set();
        return new Promise((_resolve, reject) => {
          inner.signal.addEventListener("abort", () => {
            cause = inner.cause;
            reject(inner.err!);
          });
        });
      },
    });
    await publish(ctx, { id: "o-1" });
    await begun.open;
    const why = new ServiceError("unavailable", "shutting down");
    await first.close(why);
    assert.equal(cause, why);
    let handled = 0;
    await consume({
      placed() {
        handled++;
        return {};
      },
    });
    await until("another has it", () => handled === 1, 3000);
    await settled(left);
  });

  test("publishing fails with what is wrong: no stream, full, too large, a service in the place of a stream", async (t) => {
    const { Orders, stream, manager, publish, plain, consume } = await bed(t);
    const nowhere = await failureOf(publish(ctx, { id: "x" }));
    assert.equal(nowhere.code, "unavailable");
    assert.match(nowhere.message, /nobody serves flotilla-events\.\S+\.placed at nats:.*there is no stream for it/);
    assert.equal(nowhere.retry?.unprocessed, true);

    const service = plain.subscribe(`flotilla-events.${Orders.name}.*`, {
      callback: (_error, msg) => void msg.respond("hello"),
    });
    await plain.flush();
    const impostor = await failureOf(publish(ctx, { id: "x" }));
    assert.equal(impostor.code, "failed_precondition");
    assert.match(impostor.message, /who answered is no stream/);
    service.unsubscribe();
    await plain.flush();

    await (await consume({}, { create: { max_msgs: 1 } })).close();
    const large = await failureOf(publish(ctx, { id: "x".repeat(66_000) }));
    assert.equal(large.code, "resource_exhausted");
    await manager.consumers.delete(stream, durableOf("workers", Orders.name));
    await publish(ctx, { id: "fits" });
    const full = await failureOf(publish(ctx, { id: "x" }));
    assert.equal(full.code, "resource_exhausted");
    assert.match(full.message, /maximum messages exceeded/);
    await manager.streams.update(stream, { max_msgs: -1, max_msg_size: 100 });
    const oversized = await failureOf(publish(ctx, { id: "x".repeat(200) }));
    assert.equal(oversized.code, "resource_exhausted", oversized.message);
  });

  test("what may not be made must be there", async (t) => {
    const { consume, stream, manager, Orders } = await bed(t);
    await assert.rejects(consume({}, { create: false }), /jetstream: cannot handle .* there is no stream/);
    await manager.streams.add({ name: stream, subjects: ["something.else"] });
    await assert.rejects(consume({}, { create: false }), /does not take flotilla-events\./);
    await consume({});
    const { config } = await manager.streams.info(stream);
    assert.deepEqual(config.subjects, ["something.else", `flotilla-events.${Orders.name}.*`]);
  });

  test("processes that begin at the same time agree on what is made", async (t) => {
    const { consume, publish } = await bed(t);
    let handled = 0;
    const methods: Partial<Implementation<Orders>> = {
      placed() {
        handled++;
        return {};
      },
    };
    await Promise.all([consume(methods), consume(methods), consume(methods)]);
    await publish(ctx, { id: "o-1" });
    await until("it is handled", () => handled === 1);
  });

  test("what a policy refuses stays in hand until it is taken, and counts as one delivery", async (t) => {
    const { Orders, stream, publish, left, dead } = await bed(t);
    let refused = 0;
    const handled: string[] = [];
    const refusing: Middleware = (next) => (inner, request) => {
      if (++refused % 8 === 0) return next(inner, request);
      const details = [errorInfo({ reason: "OVERLOADED", domain: FLOTILLA_DOMAIN })];
      return Promise.reject(new ServiceError("unavailable", "overloaded", { details, retry: { never: true } }));
    };
    const methods = {
      placed: (_ctx: Context, { id }: Order) => {
        handled.push(id);
        return {};
      },
      paid: () => ({}),
    };
    const options = { servers: broker.address, stream, retryDelayMs: 5, maxRetryDelayMs: 10, maxDeliveries: 2 };
    const listening = await jetstream(options).listen([implement(Orders, methods, { use: [refusing] })], ctx);
    t.after(() => listening.close());
    await publish(ctx, { id: "patient" });
    await until("it is handled", () => handled.length === 1);
    await settled(left);
    assert.deepEqual(await dead(), []);

    // One that waits is given back at once when the listener goes.
    await listening.close();
    const slow = await jetstream({ ...options, retryDelayMs: 600_000, maxRetryDelayMs: 600_000 }).listen(
      [implement(Orders, methods, { use: [refusing] })],
      ctx,
    );
    t.after(() => slow.close());
    const before = refused;
    await publish(ctx, { id: "waiting" });
    await until("it is refused", () => refused > before);
    await slow.close();
    const other = await jetstream(options).listen([implement(Orders, methods)], ctx);
    t.after(() => other.close());
    await until("another has it", () => handled.length === 2);
  });

  test("where a policy lets through one at a time, messages go on as each is done, and none counts as delivered again", async (t) => {
    const { Orders, stream, publish, left, dead } = await bed(t);
    let inHand = 0;
    let most = 0;
    const handled: string[] = [];
    const oneAtATime: Middleware = (next) => async (inner, request) => {
      if (inHand > 0) {
        const details = [errorInfo({ reason: "OVERLOADED", domain: FLOTILLA_DOMAIN })];
        throw new ServiceError("resource_exhausted", "one is in hand", { details });
      }
      most = Math.max(most, ++inHand);
      return next(inner, request).finally(() => inHand--);
    };
    const placed = async (inner: Context, { id }: Order): Promise<object> => {
      await sleep(inner, 1);
      handled.push(id);
      return {};
    };
    const orders = implement(Orders, { placed, paid: () => ({}) }, { use: [oneAtATime] });
    const listening = await jetstream({
      servers: broker.address,
      stream,
      maxDeliveries: 1,
      retryDelayMs: 60_000,
    }).listen([orders], ctx);
    t.after(() => listening.close());
    await Promise.all(Array.from({ length: 100 }, (_, n) => publish(ctx, { id: String(n) })));
    await until("all are handled", () => handled.length === 100);
    assert.equal(most, 1);
    await settled(left);
    assert.deepEqual(await dead(), []);
  });

  test("who asks for more time than the longest pause gets that", async (t) => {
    const { consume, publish } = await bed(t);
    const times: number[] = [];
    const placed = (inner: Context): object => {
      if (times.push(inner.clock.now()) > 1) return {};
      throw new ServiceError("unavailable", "come back never", { retry: { afterMs: 1e14 } });
    };
    await consume({ placed }, { retryDelayMs: 5, maxRetryDelayMs: 500 });
    await publish(ctx, { id: "o-1" });
    await until("it is handled", () => times.length === 2);
    assert.ok(times[1]! - times[0]! > 490, `${times[1]! - times[0]!} ms`);
  });

  test("a listener that goes is not given again what it gives back", async (t) => {
    const { Orders, stream, publish, manager } = await bed(t);
    const refusing: Middleware = () => () => {
      const details = [errorInfo({ reason: "OVERLOADED", domain: FLOTILLA_DOMAIN })];
      return Promise.reject(new ServiceError("unavailable", "overloaded", { details }));
    };
    const orders = implement(Orders, { placed: () => ({}), paid: () => ({}) }, { use: [refusing] });
    const options = { servers: broker.address, stream, retryDelayMs: 600_000, maxRetryDelayMs: 600_000 };
    const listening = await jetstream({ ...options, maxConcurrentCalls: 1000 }).listen([orders], ctx);
    t.after(() => listening.close());
    await Promise.all(Array.from({ length: 500 }, (_, n) => publish(ctx, { id: String(n) })));
    await until("all are in hand", () => listening.inFlight === 500);
    await listening.close();
    const durable = await manager.jetstream().consumers.get(stream, durableOf("workers", Orders.name));
    const deliveries: number[] = [];
    for await (const again of await durable.fetch({ max_messages: 500, expires: 5000 })) {
      deliveries.push(again.info.deliveryCount);
      again.ack();
    }
    assert.equal(deliveries.length, 500);
    assert.equal(Math.max(...deliveries), 2, "once there, and once here");
  });

  test("a message whose process is gone each time is given up, and no handler has it again", async (t) => {
    const { Orders, stream, consume, publish, manager, left, dead } = await bed(t);
    await (await consume({})).close();
    await publish(ctx, { id: "poison" });
    const durable = durableOf("workers", Orders.name);
    const consumer = await manager.jetstream().consumers.get(stream, durable);
    for (let delivery = 1; delivery <= 6; delivery++) {
      const msg = await consumer.next({ expires: 5000 });
      assert.equal(msg?.info.deliveryCount, delivery);
      msg?.nak();
    }
    await consume({ placed: () => assert.fail("called") }, { maxDeliveries: 3 });
    await untilAsync("it is dead", async () => (await dead()).length === 1);
    assert.match((await dead())[0]!.reason, /^aborted: delivered 6 times, and never ended/);
    await settled(left);
  });

  test("a message that cannot be buried stays until it can", async (t) => {
    const { Orders, stream, consume, publish, manager, left, dead } = await bed(t);
    let handled = 0;
    await consume(
      {
        placed() {
          handled++;
          throw new ServiceError("invalid_argument", "no such order");
        },
      },
      { maxDeliveries: 1000 },
    );
    await manager.streams.delete(`${stream}-dead`);
    await publish(ctx, { id: "homeless" });
    await until("it was tried several times", () => handled >= 3);
    const { waiting, inHand } = await left();
    assert.equal(waiting + inHand, 1);
    await manager.streams.add({ name: `${stream}-dead`, subjects: [`dead.${stream}.>`] });
    await untilAsync("it is dead", async () => (await dead()).length === 1);
    assert.deepEqual((await dead())[0], { id: '{"id":"homeless"}', reason: "invalid_argument: no such order" });
    const letter = await manager.streams.getMessage(`${stream}-dead`, { seq: 1 });
    assert.equal(letter!.subject, `dead.${stream}.flotilla-events.${Orders.name}.placed`);
    assert.equal(letter!.header.get("Flotilla-Dead-Group"), "workers");
    assert.equal(letter!.header.get("Flotilla-Dead-Sequence"), "1");
    await settled(left);
  });

  test("dead letters stay where nobody reads them, whatever the stream does with its messages", async (t) => {
    const { consume, publish, left, dead } = await bed(t);
    const refuse = { placed: () => Promise.reject(new ServiceError("invalid_argument", "no such order")) };
    await consume(refuse, { create: { retention: RetentionPolicy.Interest, max_msgs_per_subject: 1 } });
    await publish(ctx, { id: "o-1" });
    await settled(left);
    await publish(ctx, { id: "o-2" });
    await settled(left);
    assert.deepEqual(
      (await dead()).map(({ id }) => id),
      ['{"id":"o-1"}', '{"id":"o-2"}'],
    );
  });

  test("who hears of errors hears of each dead letter, by its number", async (t) => {
    const { Orders, stream, publish, left } = await bed(t);
    const reported: ServiceError[] = [];
    const root = withValue(ctx, errorReporterKey, (error: ServiceError) => void reported.push(error));
    const placed = (): never => {
      throw new ServiceError("unavailable", "the hold is full");
    };
    const listener = jetstream({
      servers: broker.address,
      stream,
      maxDeliveries: 2,
      retryDelayMs: 20,
      maxRetryDelayMs: 50,
    });
    const listening = await listener.listen([implement(Orders, { placed, paid: () => ({}) })], root);
    t.after(() => listening.close());
    await publish(ctx, { id: "o-1" });
    await until("it is reported", () => reported.length > 0);
    await settled(left);
    const [{ code, message } = assert.fail("nothing is reported"), ...more] = reported;
    const what = `message 1 of ${stream} (${Orders.name}/placed, group workers)`;
    assert.deepEqual(
      [code, message],
      ["unavailable", `${what} went to the dead letters after 2 deliveries: the hold is full`],
    );
    assert.deepEqual(more, []);
  });

  test("a dead letter is one only when a stream has said so, and who hears of errors hears of it", async (t) => {
    const { Orders, stream, publish, manager, plain, left } = await bed(t);
    const reported: ServiceError[] = [];
    const root = withValue(ctx, errorReporterKey, (error: ServiceError) => void reported.push(error));
    const placed = (): never => {
      throw new ServiceError("invalid_argument", "no such order");
    };
    const listener = jetstream({ servers: broker.address, stream, retryDelayMs: 20, maxRetryDelayMs: 50 });
    const listening = await listener.listen([implement(Orders, { placed, paid: () => ({}) })], root);
    t.after(() => listening.close());
    await manager.streams.delete(`${stream}-dead`);
    plain.subscribe(`dead.${stream}.>`, { callback: (_error, msg) => void msg.respond("{}") });
    await plain.flush();
    await publish(ctx, { id: "o-1" });
    await until("it is reported", () => reported.length > 0);
    assert.match(
      reported[0]!.message,
      /message 1 of \S+ cannot be put among the dead letters: .*who answered is no stream/,
    );
    const { waiting, inHand } = await left();
    assert.equal(waiting + inHand, 1);
  });

  test("what may be published may be a dead letter", async (t) => {
    const { consume, publish, left, dead } = await bed(t);
    await consume({ placed: () => Promise.reject(new ServiceError("invalid_argument", "é".repeat(2000))) });
    let id = "x".repeat(65_536);
    for (let fits = false; !fits; id = id.slice(100))
      fits = await publish(ctx, { id }).then(
        () => true,
        () => false,
      );
    await settled(left);
    assert.equal((await dead()).length, 1);
  });

  test("a consumer that was taken away is made anew", async (t) => {
    const { stream, consume, publish, manager, left, dead } = await bed(t);
    let handled = 0;
    await consume({
      placed(_ctx, { id }) {
        handled++;
        throw new ServiceError("invalid_argument", id);
      },
    });
    await publish(ctx, { id: "before" });
    await until("it is handled", () => handled === 1);
    await settled(left);
    await manager.streams.delete(stream);
    await untilAsync("it is stored", () =>
      publish(ctx, { id: "after" }).then(
        () => true,
        () => false,
      ),
    );
    await until("it is handled", () => handled === 2);
    await settled(left);
    // Both were the first of their stream.
    assert.deepEqual(
      (await dead()).map(({ reason }) => reason),
      ["invalid_argument: before", "invalid_argument: after"],
    );
  });

  test("inboxes begin as the broker allows; what it forbids to hear is told at the start", async (t) => {
    const permissions = 'subscribe: { allow: ["_OWN.>"] }';
    const guarded = await TestNats.start(
      `authorization { users = [ { user: "u", password: "p", permissions: { ${permissions} } } ] }`,
    );
    t.after(() => guarded.stop());
    const Orders = orders();
    let handled = 0;
    const placed = (): object => {
      handled++;
      return {};
    };
    const other = { servers: guarded.address, stream: "orders", broker: { user: "u", pass: "p" } };
    await assert.rejects(
      jetstream(other).listen([implement(Orders, { placed, paid: () => ({}) })], ctx),
      /jetstream: cannot handle .*_INBOX/,
    );
    const broker = { user: "u", pass: "p", inboxPrefix: "_OWN" };
    const listening = await jetstream({ servers: guarded.address, stream: "orders", broker }).listen(
      [implement(Orders, { placed, paid: () => ({}) })],
      ctx,
    );
    t.after(() => listening.close());
    const connection = jetstreamClient({ broker }).connect(guarded.address);
    t.after(() => connection.close());
    await clientOf(Orders, connection).placed(ctx, { id: "o-1" });
    await until("it is handled", () => handled === 1);
  });

  test("a broker that has lost its disk is given new streams, and messages go on", async (t) => {
    const fragile = await TestNats.start();
    const Orders = orders();
    let handled = 0;
    const methods = {
      placed: () => {
        handled++;
        return {};
      },
      paid: () => ({}),
    };
    const listener = jetstream({ servers: fragile.address, stream: "orders", maxReconnectMs: 100 });
    const listening = await listener.listen([implement(Orders, methods)], ctx);
    const connection = jetstreamClient({ maxReconnectMs: 100 }).connect(fragile.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await fragile.stop();
    });
    const client = clientOf(Orders, connection);
    await client.placed(ctx, { id: "before" });
    await until("it is handled", () => handled === 1);
    await fragile.loseDisk();
    await fragile.up();
    await untilAsync("it is stored", () =>
      client.placed(withTimeout(ctx, 1000), { id: "after" }).then(
        () => true,
        () => new Promise((resolve) => systemClock.schedule(20, () => resolve(false))),
      ),
    );
    await until("it is handled", () => handled === 2);
  });

  test("a consumer that is there already takes on what is asked now", async (t) => {
    const { Orders, stream, consume, publish, manager, left } = await bed(t);
    await (await consume({}, { ackWaitMs: 5000, maxAckPending: 10 })).close();
    await publish(ctx, { id: "kept meanwhile" });
    let handled = 0;
    const methods: Partial<Implementation<Orders>> = {
      placed() {
        handled++;
        return {};
      },
    };
    await consume(methods, { ackWaitMs: 7000, maxAckPending: 20 });
    await until("it is handled", () => handled === 1);
    await settled(left);
    const { config } = await manager.consumers.info(stream, durableOf("workers", Orders.name));
    assert.deepEqual([config.ack_wait, config.max_ack_pending, config.max_deliver], [7e9, 20, -1]);
  });

  test("so it does with servers from 2.10 on, which tell making a consumer from changing one", async (t) => {
    // No such server need be there for the test: this one answers by the same rules.
    const brokers = await TestNats.cluster();
    const plain = await brokers[0].client();
    t.after(async () => {
      await plain.close();
      for (const each of brokers) await each.stop();
    });
    const made: { ack_wait?: number }[] = [];
    const refused = { error: { code: 400, err_code: 10148, description: "consumer already exists" } };
    const asked = (verb: string, { action, config }: { action?: string; config?: { ack_wait?: number } }): object => {
      if (verb === "STREAM.INFO") return { config: { subjects: [">"] }, state: {} };
      if (verb === "CONSUMER.INFO") return { config: made[0] };
      if (!verb.startsWith("CONSUMER.")) return {};
      const other = made.length > 0 && config?.ack_wait !== made[0]?.ack_wait;
      if (action === "create" && other) return refused;
      made.unshift(config!);
      return { config };
    };
    plain.subscribe("$JS.API.>", {
      callback(_error, msg) {
        const verb = msg.subject.split(".").slice(2, 4).join(".");
        if (verb === "CONSUMER.MSG") return;
        msg.respond(JSON.stringify({ type: verb, ...asked(verb, msg.data.length === 0 ? {} : msg.json()) }));
      },
    });
    await plain.flush();
    const Orders = orders();
    for (const ackWaitMs of [5000, 5000, 7000]) {
      const listener = jetstream({ servers: brokers[0].address, stream: "orders", ackWaitMs });
      const listening = await listener.listen(
        [implement(Orders, { placed: () => ({}), paid: () => ({}) })],
        background(),
      );
      await listening.close();
    }
    assert.deepEqual(
      made.map(({ ack_wait }) => ack_wait),
      [7e9, 5e9, 5e9],
    );
  });

  test("a plain client publishes, and reads what was published", async (t) => {
    const { Orders, stream, consume, publish, manager, plain } = await bed(t);
    const seen: string[] = [];
    await consume({
      paid(_ctx, { id }) {
        seen.push(id);
        return {};
      },
    });
    const ack = await manager.jetstream().publish(`flotilla-events.${Orders.name}.paid`, '{"id":"theirs"}');
    assert.equal(ack.stream, stream);
    await until("theirs is handled", () => seen[0] === "theirs");
    await publish(withHeaders(ctx, { "x-tenant": "acme" }), { id: "ours" });
    const consumer = await manager
      .jetstream()
      .consumers.get(stream, { filter_subjects: `flotilla-events.${Orders.name}.placed` });
    const msg = await consumer.next({ expires: 2000 });
    assert.deepEqual(msg?.json(), { id: "ours" });
    assert.equal(msg?.headers?.get("x-tenant"), "acme");
    assert.ok(msg?.headers?.get("Nats-Msg-Id").startsWith(`${Orders.name}/placed:`));
    assert.ok(plain.info !== undefined);
  });

  test("one host answers calls and handles messages: the listener is told which contracts are its own", async (t) => {
    const { Orders, stream, publish } = await bed(t);
    const Ask = contract("shop.v1.Price", {
      ask: unary({ input: anything<Order>(), output: anything<{ v: number }>() }),
    });
    let handled = 0;
    const placed = (): object => {
      handled++;
      return {};
    };
    const shop = await host({
      name: "shop",
      serve: [implement(Ask, { ask: () => ({ v: 7 }) }), implement(Orders, { placed, paid: () => ({}) })],
      listen: [nats({ servers: broker.address }), jetstream({ servers: broker.address, stream, services: [Orders] })],
      admin: false,
      onEvent() {},
    }).start();
    const connection = natsClient().connect(broker.address);
    t.after(async () => {
      await connection.close();
      await shop.stop();
    });
    assert.deepEqual(await clientOf(Ask, connection).ask(ctx, { id: "x" }), { v: 7 });
    await publish(ctx, { id: "o-1" });
    await until("it is handled", () => handled === 1);
    const other = jetstream({ servers: broker.address, stream, services: [{ name: "not.Served" }] });
    await assert.rejects(other.listen([], ctx), /jetstream: services names not\.Served, which the host does not serve/);
  });

  test("methods that stream are refused, and options that are not legal, by name", async (t) => {
    const { stream } = await bed(t);
    const Ticks = contract("shop.v1.Ticks", { ticks: serverStream({ input: anything(), output: anything() }) });
    const connection = jetstreamClient().connect(broker.address);
    const refused = (method: MethodInfo, message: RegExp) =>
      assert.rejects(async () => connection.endpoint(method)(ctx, {}), { code: "unimplemented", message });
    await refused(Ticks.methods[0]!, /^shop\.v1\.Ticks\/ticks is server_stream/);
    const listener = jetstream({ servers: broker.address, stream });
    const ticks = implement(Ticks, { async *ticks() {} });
    await assert.rejects(listener.listen([ticks], ctx), /only unary methods/);
    const issues = [{ message: "expected a number" }];
    const never: Schema<number> = { "~standard": { version: 1, vendor: "test", validate: () => ({ issues }) } };
    const Ask = contract("shop.v1.Ask", { ask: unary({ input: anything(), output: never }) });
    await refused(Ask.methods[0]!, /^shop\.v1\.Ask\/ask promises an answer/);
    await assert.rejects(listener.listen([implement(Ask, { ask: () => 1 })], ctx), /promises an answer/);
    assert.throws(() => jetstream({ stream: "a.b" }), /jetstream: stream must be letters/);
    assert.throws(() => jetstream({ stream, group: "" }), /jetstream: group/);
    assert.throws(() => jetstream({ stream, maxDeliveries: 0 }), /jetstream: maxDeliveries/);
    assert.throws(() => jetstream({ stream, ackWaitMs: 10 }), /jetstream: ackWaitMs/);
    assert.throws(() => jetstream({ stream, retryDelayMs: -1 }), /jetstream: retryDelayMs/);
    assert.throws(() => jetstreamClient({ prefix: "a b" }), /jetstreamClient: prefix/);
    await connection.close();
  });

  /** Waits until the broker has nothing left for the group. */
  async function settled(left: () => Promise<{ waiting: number; inHand: number }>): Promise<void> {
    await untilAsync("nothing is left", async () => {
      const { waiting, inHand } = await left();
      return waiting === 0 && inHand === 0;
    });
  }
});

async function untilAsync(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = systemClock.now() + 10_000;
  while (!(await holds())) assert.ok(systemClock.now() < end, `not within 10 s: ${what}`);
}

/** Publishes bytes that no client library would. */
async function rawPublish(port: number, subject: string, head: string, body: string): Promise<void> {
  const { connect } = await import("node:net");
  const socket = connect(port, "127.0.0.1");
  const total = head.length + body.length;
  socket.write('CONNECT {"verbose":false,"headers":true}\r\n');
  socket.write(`HPUB ${subject} ${head.length} ${total}\r\n${head}${body}\r\nPING\r\n`);
  await new Promise<void>((resolve, reject) => {
    socket.on("data", (bytes) => {
      if (String(bytes).includes("PONG")) resolve();
    });
    socket.on("error", reject);
  });
  socket.destroy();
}

async function replay(connection: NatsConnection, stream: string): Promise<void> {
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info(`${stream}-dead`);
  for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq++) {
    const letter = await manager.streams.getMessage(`${stream}-dead`, { seq });
    if (letter === null) continue; // taken away already
    const own = headers();
    for (const [name, values] of letter.header) {
      if (!/^(nats|flotilla-dead)-/i.test(name)) for (const value of values) own.append(name, value);
    }
    const subject = letter.subject.slice(`dead.${stream}.`.length);
    await manager.jetstream().publish(subject, letter.data, { headers: own });
    await manager.streams.deleteMessage(`${stream}-dead`, seq);
  }
}
