import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { background, withCancel, withTimeout, withValue } from "flotilla/context";
import { errorReporterKey } from "flotilla/endpoint";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { consumer } from "./consumer.ts";
import { type Publisher, publisher } from "./publisher.ts";
import { CargoEvents } from "./test-fixtures/cargo.ts";
import { foreign, hasMessages } from "./test-fixtures/inspect.ts";

const skip = await skipWithout("rabbitmq-server");
const MESSAGES = 10_000;
const PATIENT_MS = 120_000;

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

function publishing(t: TestContext): Publisher<typeof CargoEvents> {
  const events = publisher(CargoEvents, { url: rabbit.url });
  t.after(() => events[Symbol.asyncDispose]());
  return events;
}

/** Publishes all of them, some hundred under way at a time. @returns how many are confirmed, which grows. */
function publishAll(events: Publisher<typeof CargoEvents>): { confirmed: number; all: Promise<unknown> } {
  const progress = { confirmed: 0, all: undefined as unknown as Promise<unknown> };
  let next = 0;
  const ctx = withTimeout(background(), PATIENT_MS);
  const some = async (): Promise<void> => {
    while (next < MESSAGES) {
      await events.booked(ctx, { n: next++ });
      progress.confirmed++;
    }
  };
  progress.all = Promise.all(Array.from({ length: 300 }, some)).finally(() => ctx.cancel());
  return progress;
}

/** A process that consumes. */
class Consumer {
  readonly handled: number[] = [];
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #rest = "";

  constructor(t: TestContext, group: string) {
    const file = join(import.meta.dirname, "test-fixtures", "consuming-process.ts");
    const args = ["--conditions=@flotilla/source", file, rabbit.url, group];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop()!;
      for (const line of lines) this.handled.push(Number(line));
    });
    this.ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
    t.after(() => this.end("SIGKILL"));
  }

  end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    return this.ended;
  }
}

describe("nothing is lost in the middle of 10,000 messages", { skip, timeout: 240_000 }, () => {
  test("when the broker is killed and comes back", async (t) => {
    const handled = new Set<number>();
    const lost: string[] = [];
    const root = withCancel(withValue(background(), errorReporterKey, (error) => lost.push(error.message)));
    const service = implement(CargoEvents, {
      booked(_ctx, cargo) {
        handled.add(cargo.n);
        return cargo;
      },
      lost: (_ctx, cargo) => cargo,
    });
    const group = "survives-the-broker";
    const listening = await consumer({ url: rabbit.url, group, serve: [service] }).listen([], root);
    t.after(() => listening.close());
    const progress = publishAll(publishing(t));
    await until("some are handled", () => handled.size > MESSAGES / 4, 60_000);
    assert.ok(progress.confirmed < MESSAGES, "all is published before the broker is killed");
    await rabbit.kill();
    await rabbit.restart();
    await progress.all;
    assert.equal(progress.confirmed, MESSAGES);
    await until("all are handled", () => handled.size === MESSAGES, 60_000);
    assert.match(lost.join("\n"), /^lost the broker at amqp:\/\/127\.0\.0\.1:\d+, trying again: /);
    const { channel } = await foreign(t, rabbit.url);
    // What was handled while the broker could not hear of it comes again, and needs a consumer then.
    await hasMessages(channel, group, 0);
    await listening.close();
    await hasMessages(channel, group, 0);
    await hasMessages(channel, `${group}.dead`, 0);
  });

  test("when a consumer is killed", async (t) => {
    const group = "survives-a-consumer";
    const first = new Consumer(t, group);
    const { channel } = await foreign(t, rabbit.url);
    await queueExists(t, group);
    const progress = publishAll(publishing(t));
    await until("some are handled", () => first.handled.length > MESSAGES / 4, 60_000);
    await first.end("SIGKILL");
    assert.ok(first.handled.length < MESSAGES, "all was handled before the consumer was killed");
    const second = new Consumer(t, group);
    await progress.all;
    await until("all are handled", () => new Set([...first.handled, ...second.handled]).size === MESSAGES, 60_000);
    await hasMessages(channel, group, 0);
    await second.end("SIGTERM");
    await hasMessages(channel, group, 0);
    await hasMessages(channel, `${group}.dead`, 0);
    const twice = first.handled.length + second.handled.length - MESSAGES;
    assert.ok(twice <= 50, `${twice} were handled twice, and no more than 50 can have been in hand`);
  });

  test("when a consumer is told to end: each is handled once, or is in the queue", async (t) => {
    const group = "ends-well";
    const first = new Consumer(t, group);
    const { channel } = await foreign(t, rabbit.url);
    await queueExists(t, group);
    const progress = publishAll(publishing(t));
    await until("some are handled", () => first.handled.length > MESSAGES / 4, 60_000);
    await first.end("SIGTERM");
    await progress.all;
    assert.ok(first.handled.length < MESSAGES, "all was handled before the consumer ended");
    assert.equal(new Set(first.handled).size, first.handled.length, "some were handled twice");
    await hasMessages(channel, group, MESSAGES - first.handled.length);
    const second = new Consumer(t, group);
    await until("the rest is handled", () => first.handled.length + second.handled.length >= MESSAGES, 60_000);
    await second.end("SIGTERM");
    assert.equal(new Set([...first.handled, ...second.handled]).size, MESSAGES);
    assert.equal(first.handled.length + second.handled.length, MESSAGES, "some were handled twice");
    await hasMessages(channel, group, 0);
    await hasMessages(channel, `${group}.dead`, 0);
  });
});

/** Waits until a process has declared its queue and listens. */
async function queueExists(t: TestContext, queue: string): Promise<void> {
  const { connection } = await foreign(t, rabbit.url);
  for (let tries = 0; tries < 1000; tries++) {
    const channel = await connection.createChannel();
    // A queue that is not there closes the channel.
    channel.on("error", () => {});
    const consumers = await channel.checkQueue(queue).then(
      ({ consumerCount }) => consumerCount,
      () => 0,
    );
    if (consumers > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens to ${queue}`);
}
