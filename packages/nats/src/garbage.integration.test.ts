import assert from "node:assert/strict";
import { connect as connectSocket } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { createInbox, headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import fc from "fast-check";
import { VirtualClock } from "flotilla/clock";
import { background, withTimeout, withValue } from "flotilla/context";
import { bidiStream, clientStream, contract, type Implementation, serverStream, unary } from "flotilla/contract";
import { errorReporterKey, type MessageType } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { withHeaders } from "flotilla/metadata";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import type { NatsClientOptions } from "./client-options.ts";
import { FRAME, type FrameKind, readEnding, readFrame, writeFrame, writeLimit } from "./frames.ts";
import { type NatsOptions, nats } from "./server.ts";
import { anything, clientOf, failureOf, Gate } from "./test-fixtures/bed.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";

const skip = await skipWithout("nats-server");
const MAX_PAYLOAD = 100_000;

interface Text {
  readonly text: string;
}
const text = anything<Text>();
const Notes = contract("test.v1.Notes", {
  one: unary({ input: text, output: text, timeoutMs: 60_000 }),
  many: serverStream({ input: text, output: text }),
  collect: clientStream({ input: text, output: text }),
  chat: bidiStream({ input: text, output: text }),
});
const SUBJECT = "flotilla.test.v1.Notes";
const nothing = { text: "" };
/** What is lost on the way is reported; here it is meant to be. */
const quiet = withValue(background(), errorReporterKey, () => {});

describe("what is not as it should be", { skip }, () => {
  let broker: TestNats;
  let plain: NatsConnection;
  before(async () => {
    broker = await TestNats.start(`max_payload: ${MAX_PAYLOAD}`);
    plain = await broker.client();
  });
  after(async () => {
    await plain?.close();
    await broker?.stop();
  });

  const idle: Implementation<typeof Notes> = {
    one: (_ctx, request) => request,
    async *many() {},
    collect: async () => nothing,
    async *chat() {},
  };

  async function serve(t: TestContext, methods: Partial<typeof idle> = {}, options: NatsOptions = {}) {
    const listener = nats({ servers: broker.address, ...options });
    const listening = await listener.listen([implement(Notes, { ...idle, ...methods })], quiet);
    t.after(() => listening.close());
    return listening;
  }

  function call(t: TestContext, options: NatsClientOptions = {}, clock?: VirtualClock) {
    const connection = natsClient(options, clock).connect(broker.address);
    t.after(() => connection.close());
    return clientOf(Notes, connection);
  }

  /** The code of an answer's error; undefined where there is none. */
  function codeOf(msg: Msg): string | undefined {
    return msg.headers?.has("Nats-Service-Error") ? msg.json<{ code: string }>().code : undefined;
  }

  describe("for a server", () => {
    test("requests: no JSON, another type, too many bytes, a deadline that is none, headers that are none", async (t) => {
      await serve(t, {}, { maxMessageBytes: 1000 });
      const ask = async (body: string, head: Record<string, string> = {}): Promise<string | undefined> => {
        const all = headers();
        for (const [name, value] of Object.entries(head)) all.append(name, value);
        return codeOf(await plain.request(`${SUBJECT}.one`, body, { timeout: 5000, headers: all }));
      };
      assert.equal(await ask("{"), "invalid_argument");
      assert.equal(await ask(""), "invalid_argument");
      assert.equal(await ask("{}", { "content-type": "text/html" }), "unimplemented");
      assert.equal(await ask("{}", { "content-type": "application/proto" }), "unimplemented");
      assert.equal(await ask(JSON.stringify({ text: "x".repeat(1001) })), "resource_exhausted");
      assert.equal(await ask("{}", { "connect-timeout-ms": "soon" }), "invalid_argument");
      assert.equal(await ask("{}", { "flotilla-stream": "unary" }), "invalid_argument");
      const raw = await rawRequest(`${SUBJECT}.one`, "NATS/1.0\r\nno colon\r\n\r\n", "{}");
      assert.match(raw, /Nats-Service-Error-Code: 400/);
      assert.match(raw, /malformed NATS headers/);
      assert.equal(await ask('{"text":"fine"}'), undefined, "it still serves");
    });

    test("protobuf that was cut", async (t) => {
      const Binary = binaryContract();
      const listener = nats({ servers: broker.address });
      const listening = await listener.listen([implement(Binary, { one: (_ctx, request) => request })], background());
      t.after(() => listening.close());
      const connection = natsClient().connect(broker.address);
      t.after(() => connection.close());
      assert.deepEqual(await clientOf(Binary, connection).one(background(), { text: "añ😀" }), { text: "añ😀" });
      const head = headers();
      head.append("content-type", "application/proto");
      const answer = await plain.request("flotilla.test.v1.Binary.one", Buffer.from([9, 65]), {
        timeout: 5000,
        headers: head,
      });
      assert.equal(codeOf(answer), "invalid_argument");
    });

    test("streams that are opened wrongly are refused, and nothing is left of them", async (t) => {
      const listening = await serve(t);
      const cases: [string, string, string][] = [
        ["many", "server_stream", "invalid_argument"],
        ["many", "server_stream 99999999 5000", "invalid_argument"],
        ["many", "server_stream 1000 1", "invalid_argument"],
        ["many", "server_stream 1000 -5", "invalid_argument"],
        ["many", "bidi_stream 1000 5000", "unimplemented"],
        ["one", "bidi_stream 1000 5000", "unimplemented"],
      ];
      for (const [method, opening, code] of cases) {
        const head = headers();
        head.append("flotilla-stream", opening);
        const answer = await plain.request(`${SUBJECT}.${method}`, "{}", { timeout: 5000, headers: head });
        const told = codeOf(answer) ?? JSON.parse(readEnding(readFrame(answer.data).body).error!).code;
        assert.equal(told, code, opening);
      }
      assert.equal(listening.inFlight, 0);
    });

    test("frames: garbage, a gap, more than was allowed, absurd credit, what is not a client's to send", async (t) => {
      const seen: ServiceError[] = [];
      const listening = await serve(
        t,
        {
          async collect(_ctx, requests) {
            try {
              for await (const _ of requests);
            } catch (error) {
              seen.push(ServiceError.from(error));
              throw error;
            }
            return nothing;
          },
          async *many(ctx) {
            yield nothing;
            await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
          },
        },
        { windowBytes: 200 },
      );
      const limit = writeLimit(2 ** 40);
      const data = Buffer.from("{}");
      const cases: [string, "collect" | "many", Uint8Array[], string][] = [
        ["garbage", "collect", [Buffer.from("?")], "invalid_argument"],
        ["an unknown kind", "collect", [Buffer.from([99, 0, 0, 0, 0])], "invalid_argument"],
        ["a gap", "collect", [writeFrame(FRAME.data, 0, data), writeFrame(FRAME.data, 2, data)], "data_loss"],
        [
          "a lost tail",
          "collect",
          [writeFrame(FRAME.data, 0, data), writeFrame(FRAME.beat, 2, undefined)],
          "data_loss",
        ],
        ["absurd credit", "collect", [writeFrame(FRAME.credit, 0, limit)], "invalid_argument"],
        ["short credit", "collect", [writeFrame(FRAME.credit, 0, data)], "invalid_argument"],
        ["a head", "collect", [writeFrame(FRAME.head, 0, data)], "invalid_argument"],
        ["too much", "collect", flood(), "resource_exhausted"],
        ["absurd credit where nothing is sent", "many", [writeFrame(FRAME.credit, 0, limit)], ""],
        ["messages that are not asked for", "many", [writeFrame(FRAME.data, 0, data)], ""],
      ];
      for (const [what, method, frames, code] of cases) {
        seen.length = 0;
        const peer = await openStream(method);
        for (const frame of frames) plain.publish(peer.server, frame);
        if (code === "") await until(`${what}: the call is over`, () => listening.inFlight === 0);
        else {
          await until(`${what}: the handler is told`, () => seen.length === 1);
          assert.equal(seen[0]!.code, code, what);
          await until("the client is told", () => peer.frames.some(({ kind }) => kind === FRAME.end));
          const { error } = readEnding(peer.frames.at(-1)!.body);
          assert.equal(JSON.parse(error!).code, code, what);
        }
        peer.stop();
      }
      assert.equal(listening.inFlight, 0);
    });

    test("whatever frames come in whatever order, each stream ends, and others are served", async (t) => {
      const listening = await serve(t, {
        async collect(_ctx, requests) {
          for await (const _ of requests);
          return nothing;
        },
        async *chat(_ctx, requests) {
          for await (const request of requests) yield request;
        },
      });
      const frame = fc.tuple(
        fc.constantFrom<FrameKind>(...Object.values(FRAME)),
        fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 2 ** 32 - 1 })),
        fc.oneof(
          fc.uint8Array({ maxLength: 12 }),
          fc.constant(Buffer.from("{}")),
          fc.constant(Buffer.from(writeLimit(5000))),
        ),
      );
      const rounds = fc.sample(fc.array(frame, { maxLength: 12 }), 60);
      for (const [i, frames] of rounds.entries()) {
        const peer = await openStream(i % 2 === 0 ? "collect" : "chat");
        for (const [kind, seq, body] of frames) plain.publish(peer.server, writeFrame(kind, seq, body));
        plain.publish(peer.server, writeFrame(FRAME.cancel, frames.length, undefined));
        plain.publish(`${SUBJECT}.$cancel`, peer.inbox);
        await until("the stream is over", () => listening.inFlight === 0);
        peer.stop();
      }
      assert.deepEqual(await call(t).one(background(), { text: "still" }), { text: "still" });
    });

    test("a broken frame ends a stream whose requests nobody reads: its client hears of it, and nothing is kept", async (t) => {
      await serve(t, {
        async *many(ctx) {
          yield nothing;
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        },
      });
      const peer = await openStream("many", 20);
      plain.publish(peer.server, Buffer.from("?"));
      await until("the client is told", () => peer.frames.some(({ kind }) => kind === FRAME.end));
      const { error } = readEnding(peer.frames.at(-1)!.body);
      assert.equal(JSON.parse(error!).code, "invalid_argument");
      peer.stop();
    });

    test("a broken frame ends a stream whose handler has left its requests, too: nobody waits for what may be sent any more", async (t) => {
      const listening = await serve(t, {
        async *chat() {
          for (;;) yield { text: "x".repeat(1000) };
        },
      });
      const peer = await openStream("chat", 20);
      await until("as much is sent as may be", () => peer.frames.length > 50);
      const lost = writeFrame(FRAME.data, 7, Buffer.from("{}"));
      plain.publish(peer.server, lost);
      plain.publish(peer.server, lost);
      await until("the client is told", () => peer.frames.some(({ kind }) => kind === FRAME.end));
      await until("the call is over", () => listening.inFlight === 0);
      peer.stop();
    });

    test("a client that goes silent is taken to be gone", async (t) => {
      let cancelled: ServiceError | undefined;
      const listening = await serve(t, {
        async *many(ctx) {
          yield nothing;
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
          cancelled = ctx.err;
        },
      });
      const peer = await openStream("many", 20);
      await until("it is cancelled", () => cancelled !== undefined);
      assert.equal(cancelled?.code, "canceled");
      await until("it is over", () => listening.inFlight === 0);
      assert.ok(
        peer.frames.some(({ kind }) => kind === FRAME.beat),
        "the server had been heard meanwhile",
      );
      peer.stop();
    });

    test("a handler that never reads grants no more than its window", async (t) => {
      const gate = new Gate();
      await serve(
        t,
        {
          async collect() {
            await gate.open;
            return nothing;
          },
        },
        { windowBytes: 1000, maxWaitingMessages: 1 },
      );
      const peer = await openStream("collect");
      for (let seq = 0; seq < 14; seq++) plain.publish(peer.server, writeFrame(FRAME.data, seq, Buffer.from("{}")));
      await plain.flush();
      await plain.flush();
      assert.deepEqual(
        peer.frames.map(({ kind }) => kind),
        [FRAME.accept],
      );
      gate.set();
      peer.stop();
    });

    test("cancelling what is not there does nothing", async (t) => {
      await serve(t);
      plain.publish(`${SUBJECT}.$cancel`, "_INBOX.nobody");
      plain.publish(`${SUBJECT}.$cancel`, "x".repeat(50_000));
      assert.deepEqual(await call(t).one(background(), { text: "still" }), { text: "still" });
    });

    test("calls beyond the limit are refused as unavailable, and as not processed", async (t) => {
      const gate = new Gate();
      const listening = await serve(
        t,
        { one: (_ctx, request) => gate.open.then(() => request) },
        { maxConcurrentCalls: 2 },
      );
      const calls = call(t);
      const answers = [calls.one(background(), nothing), calls.one(background(), nothing)];
      await until("two are in flight", () => listening.inFlight === 2);
      for (const failure of [
        await failureOf(calls.one(background(), nothing)),
        await failureOf(readAll(calls.many(background(), nothing))),
      ]) {
        assert.equal(failure.code, "unavailable");
        assert.match(failure.message, /at its limit of 2 concurrent calls/);
        assert.equal(failure.retry?.unprocessed, true);
      }
      gate.set();
      await Promise.all(answers);
    });

    /** Frames beyond a window of 200 bytes, to a handler that reads none. */
    function flood(): Uint8Array[] {
      return Array.from({ length: 60 }, (_, seq) =>
        writeFrame(FRAME.data, seq, Buffer.from(JSON.stringify({ text: "x".repeat(500) }))),
      );
    }
  });

  describe("for a client", () => {
    type Send = (kind: FrameKind, seq: number, body?: Uint8Array, reply?: string) => void;

    /** A server that answers a stream with what it likes. */
    function impostor(t: TestContext, method: string, answer: (send: Send, msg: Msg) => void) {
      const subscription = plain.subscribe(`${SUBJECT}.${method}`, {
        callback: (_error, msg) => {
          answer((kind, seq, body, reply) => {
            plain.publish(msg.reply!, writeFrame(kind, seq, body), reply === undefined ? {} : { reply });
          }, msg);
        },
      });
      t.after(() => subscription.unsubscribe());
      return plain.flush();
    }
    const limit = writeLimit(1000);
    const record = Buffer.from("{}");

    const wrong: Record<string, [(send: Send, msg: Msg) => void, string, RegExp]> = {
      "bytes that are no frame": [(_send, msg) => void msg.respond("hello"), "internal", /there is no kind/],
      "nothing at all": [(_send, msg) => void msg.respond(""), "internal", /it has 0 bytes/],
      "a message before the headers": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.data, 1, record);
        },
        "internal",
        /before the headers/,
      ],
      "an acceptance from nowhere": [
        (send) => send(FRAME.accept, 0, limit),
        "internal",
        /taken in twice, or by nobody/,
      ],
      "a lost message": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.head, 1, record);
          send(FRAME.data, 3, record);
        },
        "data_loss",
        /1 messages of the stream were lost/,
      ],
      "headers that are none": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.head, 1, Buffer.from('{"a":1}'));
        },
        "internal",
        /made of strings/,
      ],
      "an end that is none": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.end, 1, Buffer.from("{"));
        },
        "internal",
        /no JSON/,
      ],
      "an end with an error that is none": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.end, 1, Buffer.from('{"error":"what?"}'));
        },
        "unknown",
        /the peer sent no error/,
      ],
      "absurd credit": [(send) => send(FRAME.accept, 0, writeLimit(2 ** 47), "peer.x"), "internal", /absurd/],
      "a cancellation": [(send) => send(FRAME.cancel, 0), "internal", /a server cannot cancel/],
      "more than was allowed": [
        (send) => {
          send(FRAME.accept, 0, limit, "peer.x");
          send(FRAME.head, 1, record);
          for (let seq = 2; seq < 12; seq++)
            send(FRAME.data, seq, Buffer.from(JSON.stringify({ text: "x".repeat(90_000) })));
        },
        "resource_exhausted",
        /more than it was allowed/,
      ],
      silence: [(send) => send(FRAME.accept, 0, limit, "peer.x"), "unavailable", /was not heard of for 60 ms/],
    };
    for (const [what, [answer, code, message]] of Object.entries(wrong)) {
      test(`a stream answered with ${what}`, async (t) => {
        await impostor(t, "many", answer);
        const given = new Gate();
        const subscription = plain.subscribe("peer.*", {
          callback: (_error, msg) => {
            if (readFrame(msg.data).kind === FRAME.cancel) given.set();
          },
        });
        t.after(() => subscription.unsubscribe());
        const calls = call(t, {
          heartbeatMs: what === "silence" ? 20 : 5000,
          windowBytes: 100_000,
          maxWaitingMessages: 1,
        });
        const stream = calls.many(background(), nothing)[Symbol.asyncIterator]();
        const error = await failureOf(
          (async () => {
            await stream.next();
            // Nothing more is read: the others are to wait.
            if (what === "more than was allowed") await given.open;
            while (!(await stream.next()).done);
          })(),
        );
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
      });
    }

    test("a stream that has ended is read to its end, however slowly", async (t) => {
      const clock = new VirtualClock();
      await serve(t, {
        async *many() {
          for (let n = 0; n < 20; n++) yield { text: String(n) };
        },
      });
      const calls = call(t, { maxWaitingMessages: 1 }, clock);
      let served = 0;
      const subscription = plain.subscribe("_INBOX.>", {
        callback: (_error, msg) => {
          if (msg.data[0] === FRAME.end) served++;
        },
      });
      t.after(() => subscription.unsubscribe());
      await plain.flush();
      const stream = calls.many(background(), nothing)[Symbol.asyncIterator]();
      const texts = [(await stream.next()).value?.text];
      await until("the server has ended it", () => served === 1);
      await plain.flush();
      for (let beat = 0; beat < 4; beat++) await clock.advance(5000);
      for (let next = await stream.next(); !next.done; next = await stream.next()) texts.push(next.value.text);
      assert.deepEqual(
        texts,
        Array.from({ length: 20 }, (_, n) => String(n)),
      );
    });

    test("errors that are none of ours", async (t) => {
      const answers: [string, Record<string, string>, string][] = [
        ["<html>", { "Nats-Service-Error-Code": "503", "Nats-Service-Error": "busy" }, "unavailable: busy"],
        ["", { "Nats-Service-Error-Code": "what?" }, "unknown: the service answered with error what?"],
        ['{"code":"lost_it"}', { "Nats-Service-Error-Code": "500" }, "unknown: "],
        [
          "[1]",
          { "Nats-Service-Error-Code": "429", "Nats-Service-Error": "slow down" },
          "resource_exhausted: slow down",
        ],
        ["no JSON", {}, "internal: the answer of test.v1.Notes/one cannot be read"],
      ];
      let next = 0;
      const subscription = plain.subscribe(`${SUBJECT}.one`, {
        callback: (_error, msg) => {
          const [body, fields] = answers[next++]!;
          const head = headers();
          for (const [name, value] of Object.entries(fields)) head.append(name, value);
          msg.respond(body, { headers: head });
        },
      });
      t.after(() => subscription.unsubscribe());
      await plain.flush();
      const calls = call(t);
      for (const [, , wanted] of answers) {
        const { code, message } = await failureOf(calls.one(background(), nothing));
        assert.ok(`${code}: ${message}`.startsWith(wanted), `${code}: ${message}`);
      }
    });

    test("a service that never answers is given up after the server's limit for the call, without a deadline too", async (t) => {
      const asked = new Gate();
      const subscription = plain.subscribe(`${SUBJECT}.one`, { callback: () => asked.set() });
      t.after(() => subscription.unsubscribe());
      await plain.flush();
      const clock = new VirtualClock();
      const failure = failureOf(call(t, {}, clock).one(background(), nothing));
      await asked.open;
      await clock.advance(64_000);
      let early = true;
      void failure.then(() => {
        early = false;
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(early, true, "the method may take 60 s");
      await clock.advance(3000);
      const error = await failure;
      assert.equal(error.code, "unavailable");
      assert.match(error.message, /no answer came/);
    });

    test("what the broker would not take is refused before it is sent: requests, messages of streams, answers", async (t) => {
      const listening = await serve(t, {
        one: () => ({ text: "x".repeat(MAX_PAYLOAD) }),
        async *many() {
          yield { text: "fits" };
          yield { text: "x".repeat(MAX_PAYLOAD) };
        },
        async collect(_ctx, requests) {
          for await (const _ of requests);
          return nothing;
        },
      });
      const calls = call(t);
      const large = { text: "x".repeat(MAX_PAYLOAD) };
      const failures = {
        request: await failureOf(calls.one(background(), large)),
        opening: await failureOf(readAll(calls.many(background(), large))),
        answer: await failureOf(calls.one(background(), nothing)),
        message: await failureOf(readAll(calls.many(background(), nothing))),
        streamed: await failureOf(
          calls.collect(
            background(),
            (async function* () {
              yield large;
            })(),
          ),
        ),
      };
      for (const [what, { code, message }] of Object.entries(failures)) {
        assert.equal(code, "resource_exhausted", `${what}: ${message}`);
        assert.match(message, /over the broker's limit of 100000 \(max_payload\)/, what);
      }
      await until("nothing is in flight", () => listening.inFlight === 0);
      assert.equal(
        (await failureOf(calls.one(background(), large))).code,
        "resource_exhausted",
        "the connection lives",
      );
    });

    test("no more calls are in flight than its limit", async (t) => {
      const gate = new Gate();
      await serve(t, { one: (_ctx, request) => gate.open.then(() => request) });
      const calls = call(t, { maxConcurrentCalls: 3 });
      const answers = Array.from({ length: 3 }, () => calls.one(background(), nothing));
      const refused = await failureOf(calls.one(background(), nothing));
      assert.equal(refused.code, "unavailable");
      assert.match(refused.message, /3 calls are in flight already/);
      assert.equal(refused.retry?.unprocessed, true);
      gate.set();
      await Promise.all(answers);
      assert.deepEqual(await calls.one(background(), nothing), nothing);
    });

    test("a broker that takes nothing in holds the writers of streams, whatever their windows", async (t) => {
      const stuck = await TestNats.start();
      const message = { text: "x".repeat(100_000) };
      const most = 100;
      let served = 0;
      let sent = 0;
      const limits = { maxPendingBytes: 3 * 1024 * 1024, windowBytes: 16 * 1024 * 1024, maxWaitingMessages: 1000 };
      const gate = new Gate();
      const begun = new Gate();
      const methods: Partial<typeof idle> = {
        async *many() {
          yield nothing;
          await gate.open;
          for (; served < most; served++) yield message;
        },
        async collect(_ctx, requests) {
          let count = 0;
          for await (const _ of requests) if (++count === 1) begun.set();
          return { text: String(count) };
        },
      };
      const listening = await nats({ servers: stuck.address, ...limits }).listen(
        [implement(Notes, { ...idle, ...methods })],
        quiet,
      );
      const connection = natsClient({ ...limits, maxWaitingMessages: 1 }).connect(stuck.address);
      const calls = clientOf(Notes, connection);
      t.after(async () => {
        await connection.close();
        await listening.close();
        await stuck.stop();
      });
      const stream = calls.many(background(), nothing)[Symbol.asyncIterator]();
      await stream.next();
      const collected = calls.collect(
        background(),
        (async function* () {
          yield nothing;
          await gate.open;
          for (; sent < most; sent++) yield message;
        })(),
      );
      await begun.open;
      stuck.signal("SIGSTOP");
      try {
        gate.set();
        let before = -1;
        // Until neither gets any further.
        for (let still = 0; still < 200; still = served + sent === before ? still + 1 : 0) {
          before = served + sent;
          await new Promise(setImmediate);
        }
        assert.ok(served > 25 && served < 50, `the server wrote ${served}`);
        assert.ok(sent > 25 && sent < 50, `the client wrote ${sent}`);
      } finally {
        stuck.signal("SIGCONT");
      }
      let received = 0;
      while (!(await stream.next()).done) received++;
      assert.equal(received, most);
      assert.deepEqual(await collected, { text: String(most + 1) });
    });

    test("a broker that takes in again is asked again, however much it had to take", async (t) => {
      const stuck = await TestNats.start("max_payload: 8000000");
      const connection = natsClient({ maxPendingBytes: 3 * 1024 * 1024 }).connect(stuck.address);
      const calls = clientOf(Notes, connection);
      t.after(async () => {
        await connection.close();
        await stuck.stop();
      });
      const other = await stuck.client();
      t.after(() => other.close());
      await failureOf(calls.one(background(), nothing));
      const sizes = [1_100_000, 7_000_000];
      const failures = await Promise.all(
        sizes.map((size) => failureOf(calls.one(background(), { text: "x".repeat(size) }))),
      );
      for (const { message } of failures) assert.match(message, /nobody serves/);
      let message = "";
      for (let turn = 0; turn < 200 && !message.includes("nobody serves"); turn++) {
        ({ message } = await failureOf(calls.one(background(), nothing)));
        await other.flush();
      }
      assert.match(message, /nobody serves/);
    });

    test("a broker that takes nothing in does not fill the memory", async (t) => {
      const stuck = await TestNats.start();
      const connection = natsClient({ maxPendingBytes: 3 * 1024 * 1024 }).connect(stuck.address);
      const calls = clientOf(Notes, connection);
      t.after(async () => {
        await connection.close();
        await stuck.stop();
      });
      await failureOf(calls.one(background(), nothing));
      stuck.signal("SIGSTOP");
      const ctx = withTimeout(background(), 20_000);
      const request = { text: "x".repeat(500_000) };
      // What stands in headers takes as much room.
      const headed = withHeaders(ctx, { "x-large": request.text });
      const waiting = Array.from({ length: 7 }, (_, n) =>
        failureOf(n < 3 ? calls.one(ctx, request) : calls.one(headed, nothing)),
      );
      try {
        const refused = await failureOf(calls.one(background(), request));
        assert.equal(refused.code, "unavailable");
        assert.match(refused.message, /the broker has yet to take 3\d{6} bytes/);
        assert.equal(refused.retry?.unprocessed, true);
      } finally {
        stuck.signal("SIGCONT");
      }
      for (const { message } of await Promise.all(waiting)) assert.match(message, /nobody serves/);
      await failureOf(calls.one(background(), request)).then(({ message }) => assert.match(message, /nobody serves/));
    });
  });

  /** A client of streams that is none of ours. */
  async function openStream(method: string, beatMs = 60_000) {
    const inbox = createInbox();
    const frames: ReturnType<typeof readFrame>[] = [];
    let server = "";
    const subscription = plain.subscribe(inbox, {
      callback: (_error, msg) => {
        frames.push(readFrame(Uint8Array.from(msg.data)));
        if (msg.reply !== undefined && msg.reply !== "") server = msg.reply;
      },
    });
    const kind = { many: "server_stream", chat: "bidi_stream" }[method] ?? "client_stream";
    const head = headers();
    head.append("flotilla-stream", `${kind} 100000 ${beatMs}`);
    plain.publish(`${SUBJECT}.${method}`, method === "many" ? "{}" : "", { reply: inbox, headers: head });
    await until("the stream is open", () => server !== "");
    return { server, inbox, frames, stop: () => subscription.unsubscribe() };
  }

  /** Sends bytes that no client library would, and returns what is answered. */
  async function rawRequest(subject: string, head: string, body: string): Promise<string> {
    const socket = connectSocket(broker.port, "127.0.0.1");
    let answer = "";
    socket.write('CONNECT {"verbose":false,"headers":true}\r\nSUB raw.inbox 1\r\n');
    socket.write(`HPUB ${subject} raw.inbox ${head.length} ${head.length + body.length}\r\n${head}${body}\r\n`);
    await new Promise<void>((resolve, reject) => {
      socket.on("data", (bytes) => {
        answer += String(bytes);
        if (answer.includes("HMSG")) resolve();
      });
      socket.on("error", reject);
    });
    socket.destroy();
    return answer;
  }
});

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** A contract whose messages have a binary form: a length, and as many bytes of text. */
function binaryContract() {
  const Binary = contract("test.v1.Binary", { one: unary({ input: text, output: text }) });
  const binary: MessageType["binary"] = {
    encode(message) {
      const bytes = Buffer.from((message as Text).text);
      return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    },
    decode(bytes) {
      if (bytes.length !== bytes[0]! + 1) throw new ServiceError("invalid_argument", "the message was cut");
      return { text: Buffer.from(bytes.subarray(1)).toString() };
    },
  };
  const [info] = Binary.methods;
  const withBinary = (type: MessageType): MessageType => ({
    typeName: type.typeName,
    validate: (value) => type.validate(value),
    fromJson: (json) => type.fromJson(json),
    fromJsonValue: (value) => type.fromJsonValue(value),
    toJson: (message) => type.toJson(message),
    jsonSchema: (side) => type.jsonSchema(side),
    binary,
  });
  const methods = [{ ...info!, input: withBinary(info!.input), output: withBinary(info!.output) }];
  return { ...Binary, methods };
}
