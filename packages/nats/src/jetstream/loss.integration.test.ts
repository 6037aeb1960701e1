import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ConsumerInfo, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { systemClock } from "flotilla/clock";
import { background, withTimeout } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { until } from "flotilla/testing";
import { skipWithout } from "../../../../scripts/servers.ts";
import { clientOf } from "../test-fixtures/bed.ts";
import { Jobs } from "../test-fixtures/jobs.ts";
import { TestNats } from "../test-fixtures/nats-server.ts";
import { jetstreamClient } from "./client.ts";
import { durableOf } from "./streams.ts";

const skip = await skipWithout("nats-server");
const MESSAGES = 10_000;
const STREAM = "jobs";
const GROUP = "workers";

/** A process that handles messages. */
class Consumer {
  readonly handled: number[] = [];
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #rest = "";

  constructor(t: TestContext, broker: TestNats, ackWaitMs: number) {
    const file = join(import.meta.dirname, "../test-fixtures/consuming-process.ts");
    const args = ["--conditions=@flotilla/source", file, broker.address, GROUP, String(ackWaitMs)];
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

interface Bed {
  readonly broker: TestNats;
  readonly manager: JetStreamManager;
  /** @param ackWaitMs - how long the broker waits for a word. Default 30000. */
  consumer(ackWaitMs?: number): Consumer;
  info(): Promise<ConsumerInfo>;
  /** Resolves when there is nothing left for the group to do. */
  done(): Promise<void>;
}

async function bed(t: TestContext): Promise<Bed> {
  const broker = await TestNats.start();
  const plain = await broker.client();
  t.after(async () => {
    await plain.close();
    await broker.stop();
  });
  const manager = await jetstreamManager(plain);
  const info = () => manager.consumers.info(STREAM, durableOf(GROUP, Jobs.name));
  return {
    broker,
    manager,
    consumer: (ackWaitMs = 30_000) => new Consumer(t, broker, ackWaitMs),
    info,
    async done() {
      await holds("nothing is left", async () => {
        const { num_pending, num_ack_pending } = await info();
        return num_pending + num_ack_pending === 0;
      });
      assert.equal((await manager.streams.info(`${STREAM}-dead`)).state.messages, 0, "there are dead letters");
    },
  };
}

/** Publishes all of them, some at a time, each until it is stored. @returns how many are, which grows. */
function publishAll(t: TestContext, { address }: TestNats): { stored: number; all: Promise<unknown> } {
  const connection = jetstreamClient({ maxReconnectMs: 100 }).connect(address);
  t.after(() => connection.close());
  const jobs = clientOf(Jobs, connection);
  const progress = { stored: 0, all: undefined as unknown as Promise<unknown> };
  let next = 0;
  const store = async (n: number): Promise<void> => {
    for (;;) {
      const ctx = withTimeout(background(), 5000);
      try {
        await jobs.run(ctx, { n });
        return;
      } catch (error) {
        assert.match(ServiceError.from(error).code, /^(unavailable|deadline_exceeded)$/);
        await new Promise<void>((resolve) => void systemClock.schedule(20, resolve));
      } finally {
        ctx.cancel();
      }
    }
  };
  const lane = async (): Promise<void> => {
    while (next < MESSAGES) {
      await store(next++);
      progress.stored++;
    }
  };
  progress.all = Promise.all(Array.from({ length: 100 }, lane));
  return progress;
}

async function holds(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = systemClock.now() + 30_000;
  while (!(await condition())) {
    assert.ok(systemClock.now() < end, `not within 30 s: ${what}`);
    await new Promise<void>((resolve) => void systemClock.schedule(10, resolve));
  }
}

const listens = ({ info }: Bed) =>
  holds("a consumer listens", () =>
    info().then(
      ({ num_waiting }) => num_waiting > 0,
      () => false,
    ),
  );

describe("nothing is lost in the middle of 10,000 messages", { skip, timeout: 120_000 }, () => {
  test("when a consumer is told to end: each is handled once, or is in the stream", async (t) => {
    const all = await bed(t);
    const first = all.consumer();
    await listens(all);
    const progress = publishAll(t, all.broker);
    await until("some are handled", () => first.handled.length > MESSAGES / 4, 30_000);
    await first.end("SIGTERM");
    await progress.all;
    assert.ok(first.handled.length < MESSAGES, "all was handled before the consumer ended");
    assert.equal(new Set(first.handled).size, first.handled.length, "some were handled twice");
    const { num_pending, num_ack_pending } = await all.info();
    assert.equal(num_pending + num_ack_pending, MESSAGES - first.handled.length, "an acknowledgement was lost");
    const second = all.consumer();
    // Sooner than the broker would take back by itself what nobody has given back.
    await until("the rest is handled", () => first.handled.length + second.handled.length >= MESSAGES, 25_000);
    await second.end("SIGTERM");
    assert.equal(new Set([...first.handled, ...second.handled]).size, MESSAGES);
    assert.equal(first.handled.length + second.handled.length, MESSAGES, "some were handled twice");
    await all.done();
  });

  test("when a consumer is killed", async (t) => {
    const all = await bed(t);
    const first = all.consumer(1000);
    await listens(all);
    const progress = publishAll(t, all.broker);
    await until("some are handled", () => first.handled.length > MESSAGES / 4, 30_000);
    await first.end("SIGKILL");
    assert.ok(first.handled.length < MESSAGES, "all was handled before the consumer was killed");
    const second = all.consumer(1000);
    await progress.all;
    await until("all are handled", () => new Set([...first.handled, ...second.handled]).size === MESSAGES, 30_000);
    await all.done();
    await second.end("SIGTERM");
    const twice = first.handled.length + second.handled.length - MESSAGES;
    assert.ok(twice <= 50, `${twice} were handled twice, and no more than 50 can have been in hand`);
  });

  test("when the broker is killed and comes back", async (t) => {
    const all = await bed(t);
    const consumer = all.consumer(1000);
    await listens(all);
    const progress = publishAll(t, all.broker);
    // The publisher is the faster one.
    await until("some are", () => consumer.handled.length > 100 && progress.stored > MESSAGES / 10, 30_000);
    assert.ok(progress.stored < MESSAGES, "all is published before the broker is killed");
    await all.broker.kill();
    await all.broker.up();
    await progress.all;
    await until("all are handled", () => new Set(consumer.handled).size === MESSAGES, 30_000);
    // What was handled while the broker could not hear of it comes again, and needs a consumer then.
    await all.done();
    await consumer.end("SIGTERM");
    t.diagnostic(`${consumer.handled.length - MESSAGES} of ${MESSAGES} were handled again`);
  });
});
