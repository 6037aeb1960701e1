import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isSpanContextValid, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Context } from "../../context/context.ts";
import { background, withValue } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { currentTrace, withTrace } from "../../metadata/trace.ts";
import { activeSpan, currentSpan, starterOf, withSpan, withStarter } from "./current-span.ts";
import { spanStarter } from "./foreign-span.ts";
import { failSpan, inSpan, streamInSpan } from "./in-span.ts";
import { attributesOf, bed } from "./test-fixtures/recorder.ts";

const TRACEPARENT = `00-${"a".repeat(32)}-${"b".repeat(16)}-03`;

function incoming(call: Partial<ServerCall>): Context {
  return withValue(background(), serverCallKey, {
    headers: new Metadata(),
    traceparent: undefined,
    tracestate: undefined,
    observation: undefined,
    responseHeaders: new Metadata(),
    responseTrailers: new Metadata(),
    peer: "127.0.0.1:1",
    protocol: "memory",
    ...call,
  });
}

describe("currentSpan", () => {
  test("is what withSpan set, else that of the call, else the caller's position, else nothing", () => {
    const { tracer } = bed();
    const span = tracer.start("call", 1, undefined, []);
    const inner = tracer.start("inner", 1, span, []);
    const ctx = incoming({ observation: { trace: span, end() {} } });
    assert.equal(currentSpan(ctx), span);
    assert.equal(activeSpan(ctx), span);
    assert.equal(currentSpan(withSpan(ctx, inner)), inner);
    assert.equal(currentTrace(withSpan(ctx, inner)), inner);

    const untraced = incoming({ traceparent: TRACEPARENT, tracestate: "a=1" });
    const remote = currentSpan(untraced);
    assert.deepEqual([remote.isRecording(), remote.spanContext().spanId], [false, "b".repeat(16)]);
    assert.equal(remote.spanContext().traceState?.get("a"), "1");
    assert.equal(activeSpan(untraced), undefined);

    const nothing = currentSpan(background());
    nothing.setAttribute("a", 1).end();
    assert.equal(isSpanContextValid(nothing.spanContext()), false);
    assert.equal(
      isSpanContextValid(
        currentSpan(withTrace(background(), { traceparent: "x", tracestate: undefined })).spanContext(),
      ),
      false,
    );
  });
});

describe("inSpan", () => {
  test("runs in a child, which ends with the promise", async () => {
    const { tracer, sink, clock } = bed();
    const root = tracer.start("root", 1, undefined, []);
    const result = await inSpan(
      withSpan(background(), root),
      "work",
      { kind: SpanKind.CLIENT, attributes: { a: 1 }, links: [{ context: root.spanContext() }] },
      async (ctx, span) => {
        assert.equal(currentSpan(ctx), span);
        span.setAttribute("b", 2);
        await clock.advance(7);
        return inSpan(ctx, "deeper", {}, () => "result");
      },
    );
    assert.equal(result, "result");
    assert.deepEqual(sink.names, ["deeper", "work"]);
    const [deeper, work] = sink.spans;
    assert.equal(deeper!.parentSpanId, work!.spanId);
    assert.equal(work!.parentSpanId, root.spanId);
    assert.deepEqual([work!.kind, work!.durationMs, work!.links.length], [SpanKind.CLIENT, 7, 1]);
    assert.deepEqual(attributesOf(work!.attributes), { a: 1, b: 2 });
  });

  test("records errors, thrown or rejected, and throws them on", async () => {
    const { tracer, sink } = bed();
    const ctx = withStarter(background(), tracer);
    const error = new ServiceError("unavailable", "gone");
    await assert.rejects(
      inSpan(ctx, "a", {}, () => Promise.reject(error)),
      error,
    );
    await assert.rejects(
      inSpan(ctx, "b", {}, () => {
        throw error;
      }),
      error,
    );
    for (const span of sink.spans) {
      assert.deepEqual([span.statusCode, span.statusMessage, span.events.length], [SpanStatusCode.ERROR, "gone", 1]);
      assert.equal(attributesOf(span.events[0]!.attributes)["exception.type"], "unavailable");
    }
    assert.equal(sink.spans.length, 2);
  });

  test("whatever is thrown", async () => {
    const { tracer, sink } = bed();
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("get");
        },
        getPrototypeOf() {
          throw new Error("proto");
        },
      },
    );
    for (const thrown of [undefined, null, 7, "text", hostile, Symbol("s")]) {
      const span = tracer.start("a", 0, undefined, []);
      failSpan(span, thrown);
      span.end();
      assert.equal(sink.spans.pop()!.statusCode, SpanStatusCode.ERROR);
    }
  });

  test("runs untraced where nothing traces", async () => {
    const ctx = incoming({ traceparent: TRACEPARENT });
    const result = await inSpan(ctx, "a", {}, (inner, span) => {
      assert.equal(inner, ctx);
      return span.isRecording();
    });
    assert.equal(result, false);
    for await (const value of streamInSpan(ctx, "a", {}, () => numbers(1))) assert.equal(value, 0);
  });

  test("a remote caller's position is the parent when the process traces", async () => {
    const { tracer, sink } = bed();
    const ctx = withStarter(incoming({ traceparent: TRACEPARENT }), tracer);
    await inSpan(ctx, "a", {}, () => 1);
    assert.deepEqual([sink.spans[0]!.parentSpanId, sink.spans[0]!.parentIsRemote], ["b".repeat(16), true]);
  });

  test("a stream's span begins with the first message and ends with the stream, however that ends", async () => {
    const { tracer, sink } = bed();
    const ctx = withStarter(background(), tracer);
    const untouched = streamInSpan(ctx, "untouched", {}, () => assert.fail("called"));
    await untouched.return();
    const seen: number[] = [];
    for await (const value of streamInSpan(ctx, "whole", {}, () => numbers(3))) {
      assert.deepEqual(sink.spans, []);
      seen.push(value);
    }
    assert.deepEqual(seen, [0, 1, 2]);
    for await (const _ of streamInSpan(ctx, "left", {}, () => numbers(3))) break;
    await assert.rejects(async () => {
      for await (const _ of streamInSpan(ctx, "failed", {}, () => numbers(Infinity))) continue;
    }, /too many/);
    assert.deepEqual(
      sink.spans.map(({ name, statusCode }) => [name, statusCode]),
      [
        ["whole", 0],
        ["left", 0],
        ["failed", 2],
      ],
    );
  });
});

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) {
    if (i === 10) throw new Error("too many");
    yield await Promise.resolve(i);
  }
}

describe("another provider's spans", () => {
  test("the official SDK's provider does all that observers ask for", async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
    const starter = spanStarter(provider, "flotilla", "1");
    const now = performance.now();
    const server = starter.startRemote("server", SpanKind.SERVER, TRACEPARENT, "a=1", ["p", 1], now);
    const ctx = withTrace(background(), server);
    assert.equal(server.traceparent, `00-${"a".repeat(32)}-${server.spanId}-01`);
    assert.equal(server.tracestate, "a=1");
    assert.equal(currentSpan(ctx), server.apiSpan);
    assert.equal(starterOf(ctx), starter);
    await inSpan(ctx, "child", {}, (_, span) => span.setAttribute("x", 1));
    server.setAttribute("q", 2).setAttributes({ r: 3 }).addEvent("e").updateName("renamed");
    server.addLink({ context: server.spanContext() }).addLinks([]).setStatus({ code: SpanStatusCode.OK });
    server.recordException(new Error("x"));
    server.finish(now + 12.5);
    assert.equal(server.isRecording(), false);
    const [child, parent] = exporter.getFinishedSpans();
    assert.equal(child!.parentSpanContext!.spanId, server.spanId);
    assert.equal(parent!.parentSpanContext!.isRemote, true);
    assert.deepEqual(
      [parent!.name, parent!.kind, parent!.attributes],
      ["renamed", SpanKind.SERVER, { p: 1, q: 2, r: 3 }],
    );
    assert.deepEqual([parent!.events.length, parent!.links.length], [2, 1]);
    assert.ok(Math.abs(parent!.duration[0] * 1e3 + parent!.duration[1] / 1e6 - 12.5) < 0.01);
    assert.ok(Math.abs(parent!.startTime[0] * 1e3 + parent!.startTime[1] / 1e6 - Date.now()) < 10_000);
    const root = starter.start("root", SpanKind.INTERNAL, undefined, []);
    assert.equal(starter.startRemote("bad", 0, "nonsense", undefined, []).isRecording(), true);
    root.end();
    assert.equal(exporter.getFinishedSpans().at(-1)!.parentSpanContext, undefined);
  });

  test("a span of another provider is the parent of ours", async () => {
    const { tracer, sink } = bed();
    const span = new TracerProvider().getTracer("x").startSpan("theirs", {}, ROOT_CONTEXT);
    const ctx = withSpan(withStarter(background(), tracer), span);
    assert.equal(currentSpan(ctx), span);
    await inSpan(ctx, "ours", {}, () => 1);
    assert.deepEqual([sink.spans[0]!.parentSpanId, sink.spans[0]!.parentIsRemote], [span.spanContext().spanId, false]);
  });

  test("without a tracer its trace goes on, unrecorded", async () => {
    const span = trace.wrapSpanContext({ traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 });
    const ctx = withSpan(background(), span);
    await inSpan(ctx, "a", {}, (inner) => {
      assert.equal(currentTrace(inner)?.traceparent, `00-${"a".repeat(32)}-${"b".repeat(16)}-01`);
    });
    const { starter } = activeSpan(ctx)!;
    assert.equal(starter.startRemote("a", 0, TRACEPARENT, undefined, []).traceparent, TRACEPARENT);
    assert.equal(starter.start("a", 0, undefined, []).isRecording(), false);
  });
});
