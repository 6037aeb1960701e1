import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Timer } from "flotilla/clock";
import { systemClock } from "flotilla/clock";
import { background, withCancel, withTimeout } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { amqpClient } from "./client.ts";
import { consumer } from "./consumer.ts";
import { amqp } from "./listener.ts";
import { publisher } from "./publisher.ts";
import { CargoEvents, Tracking } from "./test-fixtures/cargo.ts";

/** What claims to be a broker, and does as it is told with each connection. Closed with the test. */
async function falseBroker(t: TestContext, behave: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const state = { connections: 0, open: () => sockets.size, url: "" };
  const server = createServer((socket) => {
    state.connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.resume();
    behave(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  state.url = `amqp://127.0.0.1:${address.port}`;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return state;
}

async function failure(work: Promise<unknown>): Promise<ServiceError> {
  const error = await work.then(
    () => assert.fail("did not fail"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

const service = implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo });

/** One call over a connection of its own. */
async function callOnce(url: string, connectTimeoutMs: number): Promise<ServiceError> {
  const connection = amqpClient({ connectTimeoutMs, maxReconnectMs: 20 }).connect(url);
  try {
    return await failure(connection.endpoint(Tracking.methods[0]!)(withTimeout(background(), 5000), { n: 1 }));
  } finally {
    await connection.close();
  }
}

describe("what claims to be a broker", () => {
  test("says nothing: the attempt ends in time, and its socket with it", async (t) => {
    const broker = await falseBroker(t, () => {});
    const error = await callOnce(broker.url, 50);
    assert.equal(error.code, "unavailable");
    assert.equal(error.retry?.unprocessed, true);
    assert.match(error.message, /^cannot reach the broker at amqp:\/\/127\.0\.0\.1:\d+: /);
    await until("no socket is left", () => broker.open() === 0);
  });

  test("says nonsense: a clear error, whatever it is", async (t) => {
    let nonsense: Uint8Array = Buffer.from("");
    const broker = await falseBroker(t, (socket) => void socket.end(nonsense));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 300 }),
          // A method frame of channel 0 with anything in it.
          fc.uint8Array({ minLength: 4, maxLength: 200 }).map((payload) => frame(1, 0, payload)),
          // Connection.start, with anything after it.
          fc
            .uint8Array({ maxLength: 200 })
            .map((rest) => frame(1, 0, Buffer.concat([Buffer.from([0, 10, 0, 10]), rest]))),
        ),
        async (bytes) => {
          nonsense = bytes;
          assert.equal((await callOnce(broker.url, 500)).code, "unavailable");
        },
      ),
      { numRuns: 60 },
    );
    await until("no socket is left", () => broker.open() === 0);
  });

  test("announces a frame of a gigabyte: it is refused before it is read", async (t) => {
    const header = Buffer.alloc(7);
    header.writeUInt8(1, 0);
    header.writeUInt32BE(1 << 30, 3);
    const broker = await falseBroker(t, (socket) => void socket.write(header));
    const error = await callOnce(broker.url, 5000);
    assert.match(error.message, /Frame size 1073741824 exceeds maxFrameSize/);
    await until("no socket is left", () => broker.open() === 0);
  });

  test("refuses connections: a listener and a consumer cannot start, and say why", async (t) => {
    const broker = await falseBroker(t, (socket) => socket.destroy());
    const root = withCancel(background());
    await assert.rejects(
      amqp({ url: broker.url }).listen([service], root),
      /^Error: amqp: cannot reach the broker at amqp:\/\/127\.0\.0\.1:\d+: /,
    );
    const events = implement(CargoEvents, { booked: (_ctx, cargo) => cargo, lost: (_ctx, cargo) => cargo });
    await assert.rejects(
      consumer({ url: broker.url, group: "g", serve: [events] }).listen([], root),
      /^Error: consumer: cannot reach the broker at /,
    );
    const made = broker.connections;
    assert.equal(made, 2, "what could not start does not go on trying");
  });
});

test("a broker that is gone is tried again after random pauses, the longest of which double up to the limit", async (t) => {
  const broker = await falseBroker(t, (socket) => socket.destroy());
  const pauses: number[] = [];
  const clock = {
    now: () => systemClock.now(),
    epoch: () => systemClock.epoch(),
    schedule(delayMs: number, callback: () => void): Timer {
      // Not those that bound the attempts.
      if (delayMs === 4999) return systemClock.schedule(delayMs, callback);
      pauses.push(delayMs);
      return systemClock.schedule(0, callback);
    },
  };
  const half = { next: () => 0.5 };
  const options = { clock, random: half, connectTimeoutMs: 4999, maxReconnectMs: 1000 };
  const connection = amqpClient(options).connect(broker.url);
  await failure(connection.endpoint(Tracking.methods[0]!)(withTimeout(background(), 5000), { n: 1 }));
  await until("some attempts", () => pauses.length >= 8);
  await connection.close();
  assert.deepEqual(pauses.slice(0, 8), [100, 200, 400, 500, 500, 500, 500, 500]);
});

test("closing ends an attempt that is under way, and its socket with it in time", async (t) => {
  const broker = await falseBroker(t, () => {});
  const connection = amqpClient({ connectTimeoutMs: 300 }).connect(broker.url);
  const call = failure(connection.endpoint(Tracking.methods[0]!)(withTimeout(background(), 5000), { n: 1 }));
  await until("it connects", () => broker.open() === 1);
  const startedMs = systemClock.now();
  await connection.close();
  assert.ok(systemClock.now() - startedMs < 250, "it did not wait for the attempt");
  assert.equal((await call).code, "unavailable");
  await until("no socket is left", () => broker.open() === 0);
});

describe("publishing without a broker", () => {
  test("messages wait until their deadlines; no more than allowed, and no more bytes", async (t) => {
    const broker = await falseBroker(t, (socket) => socket.destroy());
    const events = publisher(CargoEvents, { url: broker.url, maxWaiting: 2, maxWaitingBytes: 100, maxReconnectMs: 20 });
    const ctx = withTimeout(background(), 100);
    const waiting = [events.booked(ctx, { n: 1 }), events.booked(ctx, { n: 2 })].map(failure);
    assert.equal((await failure(events.booked(ctx, { n: 3 }))).code, "resource_exhausted");
    for (const error of await Promise.all(waiting)) {
      assert.equal(error.code, "deadline_exceeded");
      assert.match(error.message, /^the broker at \S+ has not confirmed the message: cannot reach the broker at \S+: /);
    }
    const long = await failure(events.booked(withTimeout(background(), 100), { n: 1, text: "x".repeat(100) }));
    assert.equal(long.code, "resource_exhausted");
    const canceled = withCancel(background());
    const given = failure(events.booked(canceled, { n: 1 }));
    canceled.cancel();
    assert.equal((await given).code, "canceled");
    await events[Symbol.asyncDispose]();
    assert.match((await failure(events.booked(background(), { n: 1 }))).message, /is closed$/);
  });

  test("disposing of it twice waits twice", async (t) => {
    const broker = await falseBroker(t, (socket) => socket.destroy());
    const events = publisher(CargoEvents, { url: broker.url, maxReconnectMs: 20 });
    const given = failure(events.booked(withTimeout(background(), 100), { n: 1 }));
    await Promise.all([events[Symbol.asyncDispose](), events[Symbol.asyncDispose]()]);
    assert.equal((await given).code, "deadline_exceeded");
  });

  test("a message over the limit is refused, and so is a stream", async () => {
    const events = publisher(CargoEvents, { url: "amqp://127.0.0.1:1", maxMessageBytes: 10 });
    const error = await failure(events.booked(background(), { n: 1, text: "xxxxxxxxxxx" }));
    assert.equal(error.code, "resource_exhausted");
    assert.match(error.message, /over the limit of 10 bytes/);
    await events[Symbol.asyncDispose]();
  });
});

describe("options", () => {
  const events = implement(CargoEvents, { booked: (_ctx, cargo) => cargo, lost: (_ctx, cargo) => cargo });
  const url = "amqp://localhost";
  const bad: readonly (readonly [RegExp, () => unknown])[] = [
    [/^amqp: the address of the broker must look like/, () => amqp({ url: "http://user:secret@localhost" })],
    [/^amqp: the address of the broker must look like/, () => amqp({ url: "amqp://localhost/a/b" })],
    [/^amqp: the address of the broker must look like/, () => amqp({ url: "amqp://localhost?heartbeat=60" })],
    [/^amqp: the address of the broker must look like/, () => amqp({ url: "amqp://user:1234#secret@localhost" })],
    [/^amqp: the address of the broker must look like/, () => amqp({ url: "amqp://user:sec%ret@localhost" })],
    [/^amqp: heartbeatMs must be 1000 or more/, () => amqp({ url, heartbeatMs: 10 })],
    [/^amqp: heartbeatMs must be 1000 or more/, () => amqp({ url, heartbeatMs: Number.POSITIVE_INFINITY })],
    [/^amqp: connectTimeoutMs must be a number above 0/, () => amqp({ url, connectTimeoutMs: 0 })],
    [/^amqp: maxReconnectMs must be a number above 0/, () => amqp({ url, maxReconnectMs: Number.NaN })],
    [/^amqp: name must be/, () => amqp({ url, name: "a b" })],
    [/^amqp: maxConcurrentCalls must be a whole number from 1 to 65535/, () => amqp({ url, maxConcurrentCalls: 0 })],
    [/^amqp: maxMessageBytes must be a number above 0/, () => amqp({ url, maxMessageBytes: -1 })],
    [/^amqp: timeoutMs must be a number above 0/, () => amqpClient({ timeoutMs: 0 })],
    [/^amqpClient: name must be/, () => amqpClient({ name: "" })],
    [/^amqpClient: the address of the broker/, () => amqpClient().connect("amqp:")],
    [/^publisher: maxUnconfirmed must be a number above 0/, () => publisher(CargoEvents, { url, maxUnconfirmed: 0 })],
    [/^consumer: group must be 1 to 200 letters/, () => consumer({ url, group: "a b", serve: [events] })],
    [/^consumer: group must be/, () => consumer({ url, group: "amq.gen-1", serve: [events] })],
    [/^consumer: serve must not be empty/, () => consumer({ url, group: "g", serve: [] })],
    [
      /^consumer: maxDeliveries must be a whole number/,
      () => consumer({ url, group: "g", serve: [events], maxDeliveries: 0 }),
    ],
    [/^consumer: retryDelayMs must be/, () => consumer({ url, group: "g", serve: [events], retryDelayMs: 0 })],
    [
      /^consumer: retryDelayMs must be a whole/,
      () => consumer({ url, group: "g", serve: [events], retryDelayMs: 1.5 }),
    ],
    [
      /^consumer: maxQueueMessages must be a whole/,
      () => consumer({ url, group: "g", serve: [events], maxQueueMessages: 2 ** 40 }),
    ],
  ];
  for (const [message, make] of bad) {
    test(`${make.toString().slice(6, 90)} is refused`, () => {
      assert.throws(make, (error) => error instanceof TypeError && message.test(error.message));
    });
  }

  test("no error holds a password", () => {
    for (const text of ["http://user:secret@localhost", "amqp://user:secret@", "secret"]) {
      assert.throws(
        () => amqp({ url: text }),
        (error) => !String(error).includes("secret"),
      );
    }
  });
});

function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(7);
  header.writeUInt8(type, 0);
  header.writeUInt16BE(channel, 1);
  header.writeUInt32BE(payload.length, 3);
  return Buffer.concat([header, payload, Buffer.from([0xce])]);
}
