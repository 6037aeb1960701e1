import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { z } from "zod";
import { seededRandom } from "../../clock/random.ts";
import { pass } from "../../clock/test-fixtures/pass.ts";
import { background } from "../../context/with.ts";
import { contract, type Implementation } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import type { TelemetryPort } from "../../endpoint/telemetry-port.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCall } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { channel, client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import { implement } from "../../service/implement.ts";
import { TestRegistry } from "../../testing/test-registry.ts";
import { failureOf, readAll } from "../../testing/transport-bed.ts";
import { memory } from "../../transport/memory/memory.ts";
import type { FinishedSpan } from "../trace/sink.ts";
import { attributesOf, bed, type RecordingSink } from "../trace/test-fixtures/recorder.ts";
import { clientObserver } from "./client-observer.ts";
import { serverObserver } from "./server-observer.ts";

const server: number = SpanKind.SERVER;
const message = z.object({ n: z.number() });
const Front = contract("test.v1.Front", {
  ask: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});
const Back = contract("test.v1.Back", {
  do: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});

/** Two services, the first calling the second, and everything traced. */
async function system(backs: readonly Partial<Implementation<typeof Back>>[], b3?: "single" | "multi") {
  const { clock, sink, tracer } = bed();
  const instruments = { starter: tracer, meter: undefined, log: undefined, b3 };
  const telemetry: TelemetryPort = {
    server: serverObserver(instruments),
    client: (protocol) => clientObserver(instruments, protocol),
    admin: {},
    onError() {},
    close: () => Promise.resolve(),
  };
  const net = memory();
  const registry = new TestRegistry();
  const over = channel({ discover: registry, transport: net, telemetry, clock, random: seededRandom(3) });
  const back = client(Back, over);
  const common = { register: registry, admin: false, telemetry, clock, onEvent() {} } as const;
  const idle: Implementation<typeof Back> = {
    do: (_ctx, request) => request,
    async *list(_ctx, { n }) {
      for (let i = 0; i < n; i++) yield { n: i };
    },
  };
  for (const [i, methods] of backs.entries()) {
    await host({
      name: `back-${i}`,
      serve: [implement(Back, { ...idle, ...methods })],
      listen: [net.listener(`back-${i}`)],
      ...common,
    }).start();
  }
  await host({
    name: "front",
    serve: [
      implement(Front, {
        ask: (ctx, request) => back.do(ctx, request),
        list: (ctx, request) => back.list(ctx, request),
      }),
    ],
    listen: [net.listener("front")],
    ...common,
  }).start();
  const front = client(Front, over);
  return { clock, sink, front, registry, ctx: background(clock) };
}

function one(sink: RecordingSink, name: string, kind: number): FinishedSpan {
  const found = sink.spans.filter((span) => span.name === name && span.kind === kind);
  assert.equal(found.length, 1, `${name} of kind ${kind} among ${sink.names.join(", ")}`);
  return found[0]!;
}

describe("spans of calls", () => {
  test("one a side and a hop, all of one trace, each the child of the one that caused it", async () => {
    const { sink, front, ctx } = await system([{}]);
    await front.ask(ctx, { n: 1 });
    const outer = one(sink, "test.v1.Front/ask", SpanKind.CLIENT);
    const serve = one(sink, "test.v1.Front/ask", SpanKind.SERVER);
    const inner = one(sink, "test.v1.Back/do", SpanKind.CLIENT);
    const last = one(sink, "test.v1.Back/do", SpanKind.SERVER);
    assert.deepEqual(
      [outer, serve, inner, last].map(({ parentSpanId }) => parentSpanId),
      [undefined, outer.spanId, serve.spanId, inner.spanId],
    );
    assert.equal(new Set(sink.spans.map(({ traceId }) => traceId)).size, 1);
    assert.deepEqual(attributesOf([...last.preset, ...last.attributes]), {
      "rpc.system.name": "memory",
      "rpc.method": "test.v1.Back/do",
      "rpc.response.status_code": "ok",
    });
    assert.equal(attributesOf(inner.attributes)["server.address"], "back-0");
    assert.equal(last.parentIsRemote, true);
    for (const { preset } of sink.spans)
      assert.equal(attributesOf(preset)["rpc.system.name"], "memory", "on either side");
    assert.deepEqual(new Set(sink.spans.map(({ statusCode }) => statusCode)), new Set([SpanStatusCode.UNSET]));
  });

  test("a further attempt is a span of its own, and the parent of what it caused", async () => {
    let failures = 1;
    const shaky = () => {
      if (failures-- > 0) throw new ServiceError("unavailable", "busy");
      return { n: 7 };
    };
    const { sink, front, ctx, clock } = await system([{ do: shaky }, { do: shaky }]);
    assert.deepEqual(await pass(clock, front.ask(ctx, { n: 1 })), { n: 7 });
    const call = one(sink, "test.v1.Back/do", SpanKind.CLIENT);
    const again = one(sink, "attempt test.v1.Back/do", SpanKind.CLIENT);
    const served = sink.spans.filter(({ name, kind }) => name === "test.v1.Back/do" && kind === server);
    assert.equal(again.parentSpanId, call.spanId);
    assert.deepEqual(
      served.map(({ parentSpanId }) => parentSpanId),
      [call.spanId, again.spanId],
    );
    assert.equal(attributesOf(again.attributes)["rpc.attempt"], 2);
    assert.equal(attributesOf(call.attributes)["rpc.attempts"], 2);
    assert.deepEqual(
      call.events.map(({ name, attributes }) => [name, attributesOf(attributes)["rpc.response.status_code"]]),
      [["attempt failed", "unavailable"]],
    );
    assert.equal(call.statusCode, SpanStatusCode.UNSET, "the call as a whole went well");
    assert.deepEqual(
      served.map(({ statusCode }) => statusCode),
      [SpanStatusCode.ERROR, SpanStatusCode.UNSET],
    );
  });

  test("waiting for discovery is a span of its own", async () => {
    const { clock, sink, tracer } = bed();
    const instruments = { starter: tracer, meter: undefined, log: undefined };
    let found: (() => void) | undefined;
    const net = memory();
    await host({
      name: "back",
      serve: [implement(Back, { do: (_ctx, request) => request, list: () => (async function* () {})() })],
      listen: [net.listener("back")],
      admin: false,
      clock,
      onEvent() {},
    }).start();
    const back = client(Back, {
      discover: {
        watch(_service, observer) {
          found = () => observer.update([{ id: "back", address: "memory://back" }]);
          return { stop() {} };
        },
      },
      transport: net,
      use: [clientObserver(instruments, "memory")],
      clock,
    });
    const pending = back.do(background(clock), { n: 1 });
    await clock.advance(250);
    found!();
    await pending;
    const call = one(sink, "test.v1.Back/do", SpanKind.CLIENT);
    const wait = one(sink, "wait for discovery", SpanKind.INTERNAL);
    assert.equal(wait.parentSpanId, call.spanId);
    assert.equal(wait.durationMs, 250);
    assert.ok(call.durationMs >= 250);
  });

  test("what the caller did wrong is an error of the client's span alone; the server's own faults are of both", async () => {
    for (const [code, server] of [
      ["not_found", SpanStatusCode.UNSET],
      ["internal", SpanStatusCode.ERROR],
    ] as const) {
      const { sink, front, ctx } = await system([
        {
          do() {
            throw code === "internal" ? new Error("secret") : new ServiceError(code, "no such thing");
          },
        },
      ]);
      assert.equal((await failureOf(front.ask(ctx, { n: 1 }))).code, code);
      const called = one(sink, "test.v1.Back/do", SpanKind.CLIENT);
      const served = one(sink, "test.v1.Back/do", SpanKind.SERVER);
      assert.equal(called.statusCode, SpanStatusCode.ERROR);
      assert.equal(served.statusCode, server);
      assert.equal(attributesOf(served.attributes)["error.type"], code);
      const messages = served.events.map(({ attributes }) => attributesOf(attributes)["exception.message"]);
      assert.deepEqual(messages, code === "internal" ? ["secret"] : []);
    }
  });

  test("a stream's spans end with the stream, however it ends", async () => {
    const { sink, front, ctx, clock } = await system([{}]);
    const all = front.list(ctx, { n: 3 });
    assert.equal((await pass(clock, readAll(all))).length, 3);
    assert.equal(sink.names.filter((name) => name.endsWith("/list")).length, 4);
    sink.spans.length = 0;
    for await (const _ of front.list(ctx, { n: 100 })) break;
    for (let i = 0; i < 50 && sink.spans.length < 4; i++) await clock.advance(1);
    assert.equal(sink.names.filter((name) => name.endsWith("/list")).length, 4, "left early");
  });

  test("a call that is refused before a handler sees it has a span", async () => {
    const { sink, front, ctx } = await system([{}]);
    const failure = await failureOf(front.ask(ctx, { n: "one" as unknown as number }));
    assert.equal(failure.code, "invalid_argument");
    const served = one(sink, "test.v1.Front/ask", SpanKind.SERVER);
    assert.equal(attributesOf(served.attributes)["rpc.response.status_code"], "invalid_argument");
  });

  test("B3 headers, when asked for, are written beside W3C's and read where these are missing", async () => {
    for (const b3 of ["single", "multi"] as const) {
      let seen: string | undefined;
      const { sink, front, ctx } = await system(
        [
          {
            do(inner, request) {
              seen = serverCall(inner)!.headers.get(b3 === "single" ? "b3" : "x-b3-traceid");
              return request;
            },
          },
        ],
        b3,
      );
      await front.ask(ctx, { n: 1 });
      const { traceId } = one(sink, "test.v1.Back/do", SpanKind.SERVER);
      assert.equal(seen?.slice(0, 32), traceId);
      sink.spans.length = 0;
      const zipkin = { b3: "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1" };
      const { tracer } = bed();
      const observed = serverObserver({ starter: tracer, meter: undefined, log: undefined, b3 }).method(undefined);
      const headers = new Metadata(zipkin);
      const call = { headers, traceparent: undefined, tracestate: undefined, protocol: "memory" } as ServerCall;
      assert.match(observed.begin(call, ctx, 0).trace!.traceparent, /^00-80f198ee56343ba864fe8b2a57d3eff7-/);
    }
  });
});
