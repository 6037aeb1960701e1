import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { background } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { type Metadata, serverCall, withResponseObserver } from "flotilla/metadata";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { serverPath, skipWithout } from "../../../scripts/servers.ts";
import { amqpClient } from "./client.ts";
import { consumer } from "./consumer.ts";
import { amqp } from "./listener.ts";
import { publisher } from "./publisher.ts";
import { type Cargo, CargoEvents, Tracking } from "./test-fixtures/cargo.ts";
import { foreign } from "./test-fixtures/inspect.ts";

const skip = await skipWithout("rabbitmq-server", "python3 with pika");
const ctx = background();

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

/** A process of Python; ended with the test. */
class Python {
  output = "";
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(t: TestContext, program: string, what: string, argument: string) {
    const file = join(import.meta.dirname, "test-fixtures", "peer.py");
    this.#child = spawn(program, [file, what, `${rabbit.url}/%2F`, argument], { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
    t.after(async () => {
      this.#child.kill("SIGKILL");
      await this.ended;
    });
  }
}

async function python(t: TestContext, what: string, argument = ""): Promise<Python> {
  return new Python(t, await serverPath("python3 with pika"), what, argument);
}

describe("foreign peers", { skip, timeout: 60_000 }, () => {
  test("pika calls a service", async (t) => {
    const find = (inner: typeof ctx, { n }: Cargo): Cargo => {
      const { headers, deadline } = serverCall(inner)!;
      assert.ok(deadline! - inner.clock.now() <= 5000);
      return { n: n + 1, text: headers.get("x-tenant")! };
    };
    const listening = await amqp({ url: rabbit.url }).listen([implement(Tracking, { find, book: find })], background());
    t.after(() => listening.close());
    const peer = await python(t, "call", '{"n": 41}');
    assert.equal(await peer.ended, 0);
    assert.deepEqual(JSON.parse(peer.output), { type: "response", id: "from python", body: { n: 42, text: "acme" } });
    const refused = await python(t, "call", '{"n": "41"}');
    assert.equal(await refused.ended, 0);
    const { type, body } = JSON.parse(refused.output) as { type: string; body: { code: string } };
    assert.equal(type, "error");
    assert.equal(body.code, "invalid_argument");
  });

  test("a client calls a service in pika", async (t) => {
    const peer = await python(t, "serve");
    await until("it serves", () => peer.output === "serving\n");
    const connection = amqpClient().connect(rabbit.url);
    t.after(() => connection.close());
    const find = connection.endpoint(Tracking.methods[0]!);
    let headers: Metadata | undefined;
    const observed = withResponseObserver(ctx, (came) => {
      headers = came;
    });
    assert.deepEqual(await find(observed, { n: 21 }), { n: 42, text: "cargo.v1.Tracking/find" });
    assert.equal(headers?.get("x-by"), "python");
    await assert.rejects(find(ctx, { n: -1 }), (error: unknown) => {
      return error instanceof ServiceError && error.code === "not_found" && error.message === "no such cargo";
    });
  });

  test("pika publishes to a consumer, which takes exchange and routing key for the method", async (t) => {
    const got: Cargo[] = [];
    const take = (_ctx: unknown, cargo: Cargo): Cargo => {
      got.push(cargo);
      return cargo;
    };
    const service = implement(CargoEvents, { booked: take, lost: () => assert.fail("called") });
    const listening = await consumer({ url: rabbit.url, group: "foreign", serve: [service] }).listen([], background());
    t.after(() => listening.close());
    const peer = await python(t, "publish", '{"n": 7}');
    assert.equal(await peer.ended, 0);
    await until("it is handled", () => got.length === 1);
    assert.deepEqual(got, [{ n: 7 }]);
  });

  test("pika consumes what is published", async (t) => {
    const peer = await python(t, "consume", "#");
    await until("it listens", () => peer.output === "listening\n");
    const events = publisher(CargoEvents, { url: rabbit.url });
    t.after(() => events[Symbol.asyncDispose]());
    await events.booked(ctx, { n: 8 });
    assert.equal(await peer.ended, 0);
    assert.deepEqual(JSON.parse(peer.output.slice("listening\n".length)), {
      key: "booked",
      type: "cargo.v1.CargoEvents/booked",
      body: { n: 8 },
    });
  });

  test("amqplib by itself calls a service, and is called", async (t) => {
    const find = (_ctx: unknown, { n }: Cargo): Cargo => ({ n: n + 1 });
    const listening = await amqp({ url: rabbit.url }).listen([implement(Tracking, { find, book: find })], background());
    const { channel } = await foreign(t, rabbit.url);
    const answer = new Promise<{ text: string; type: unknown }>((resolve) => {
      void channel.consume(
        "amq.rabbitmq.reply-to",
        (message) => resolve({ text: message!.content.toString(), type: message!.properties.type as unknown }),
        { noAck: true },
      );
    });
    channel.sendToQueue(Tracking.name, Buffer.from('{"n":1}'), {
      type: "cargo.v1.Tracking/book",
      correlationId: "1",
      replyTo: "amq.rabbitmq.reply-to",
    });
    assert.deepEqual(await answer, { text: '{"n":2}', type: "response" });
    await listening.close();

    // The least a foreign service must do: answer where it is told, with the id it was given.
    await channel.assertQueue(Tracking.name, { durable: true, autoDelete: true, expires: 60_000 });
    await channel.consume(Tracking.name, (message) => {
      const { replyTo, correlationId } = message!.properties as { replyTo: string; correlationId: string };
      channel.sendToQueue(replyTo, message!.content, { correlationId });
      channel.ack(message!);
    });
    const connection = amqpClient().connect(rabbit.url);
    t.after(() => connection.close());
    assert.deepEqual(await connection.endpoint(Tracking.methods[1]!)(ctx, { n: 3 }), { n: 3 });
  });
});
