import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Link, type Span, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import fc from "fast-check";
import { isTraceparent } from "../../metadata/trace.ts";
import { LeanSpan } from "./span.ts";
import { attributesOf, bed } from "./test-fixtures/recorder.ts";

function lean(span: Span): LeanSpan {
  assert.ok(span instanceof LeanSpan);
  return span;
}

describe("LeanSpan", () => {
  test("is what ends in the sink, with times on the wall clock", async () => {
    const { clock, sink, tracer } = bed();
    await clock.advance(5);
    const span = tracer.startSpan("work", { kind: SpanKind.CLIENT, attributes: { a: 1 } });
    await clock.advance(2.5);
    span
      .setAttribute("b", "x")
      .setAttributes({ c: true, a: 2 })
      .addEvent("half", { d: [1, 2] });
    await clock.advance(2.5);
    assert.equal(span.isRecording(), true);
    span.end();
    assert.equal(span.isRecording(), false);
    assert.equal(sink.spans.length, 1);
    const data = sink.spans[0]!;
    assert.equal(data, span);
    assert.equal(data.name, "work");
    assert.equal(data.kind, SpanKind.CLIENT);
    assert.deepEqual(data.scope, { name: "test", version: "1.0.0", schemaUrl: undefined });
    assert.equal(data.startEpochMs, 946_684_800_005);
    assert.equal(data.durationMs, 5);
    assert.deepEqual(attributesOf(data.attributes), { a: 2, b: "x", c: true });
    assert.deepEqual(data.events, [
      { name: "half", epochMs: 946_684_800_007.5, attributes: ["d", [1, 2]], droppedAttributes: 0 },
    ]);
    assert.equal(data.parentSpanId, undefined);
    assert.equal(data.localRoot, span);
  });

  test("ends once; what comes after the end is ignored", async () => {
    const { clock, sink, tracer } = bed();
    const span = lean(tracer.startSpan("a"));
    await clock.advance(1);
    span.end();
    await clock.advance(1);
    span.setAttribute("a", 1).setAttributes({ b: 1 }).addEvent("e").setStatus({ code: SpanStatusCode.ERROR });
    span
      .addLink({ context: span.spanContext() })
      .addLinks([{ context: span.spanContext() }])
      .updateName("b");
    span.recordException(new Error("x"));
    span.end();
    span.finish();
    assert.equal(sink.spans.length, 1);
    assert.deepEqual(
      [span.name, span.durationMs, span.attributes, span.events, span.links, span.statusCode],
      ["a", 1, [], [], [], SpanStatusCode.UNSET],
    );
    assert.equal(span.droppedAttributes + span.droppedEvents + span.droppedLinks, 0);
  });

  test("goes into headers as it is", () => {
    const { tracer } = bed();
    const span = tracer.start("a", 1, undefined, []);
    assert.equal(isTraceparent(span.traceparent), true);
    assert.equal(span.traceparent, `00-${span.traceId}-${span.spanId}-03`);
    assert.equal(span.tracestate, undefined);
    assert.deepEqual(span.spanContext(), { traceId: span.traceId, spanId: span.spanId, traceFlags: 3 });
    assert.equal(span.spanContext(), span.spanContext());
  });

  test("status: the last error counts, ok is final, unset is nothing, only errors have a message", () => {
    const { tracer } = bed();
    const span = lean(tracer.startSpan("a"));
    span.setStatus({ code: SpanStatusCode.ERROR, message: "first" });
    span.setStatus({ code: SpanStatusCode.UNSET });
    span.setStatus({ code: SpanStatusCode.ERROR, message: "second" });
    assert.deepEqual([span.statusCode, span.statusMessage], [SpanStatusCode.ERROR, "second"]);
    span.setStatus({ code: SpanStatusCode.OK, message: "fine" });
    assert.deepEqual([span.statusCode, span.statusMessage], [SpanStatusCode.OK, undefined]);
    span.setStatus({ code: SpanStatusCode.ERROR, message: "late" });
    assert.deepEqual([span.statusCode, span.statusMessage], [SpanStatusCode.OK, undefined]);
  });

  test("exceptions are events of the semantic conventions", () => {
    const { tracer } = bed();
    const span = lean(tracer.startSpan("a"));
    const error = Object.assign(new TypeError("broken"), { stack: "stack" });
    span.recordException(error);
    span.recordException(Object.assign(new Error("refused"), { code: "ECONNREFUSED", stack: "" }));
    span.recordException("text");
    span.recordException(undefined as never);
    span.recordException({} as never);
    span.recordException(7 as never);
    assert.deepEqual(
      span.events.map(({ name, attributes }) => [name, attributesOf(attributes)]),
      [
        [
          "exception",
          { "exception.type": "TypeError", "exception.message": "broken", "exception.stacktrace": "stack" },
        ],
        ["exception", { "exception.type": "ECONNREFUSED", "exception.message": "refused" }],
        ["exception", { "exception.message": "text" }],
        ["exception", { "exception.message": "7" }],
      ],
    );
    assert.equal(span.statusCode, SpanStatusCode.UNSET);
  });

  test("times can be given as Date, hrtime, epoch milliseconds and monotonic milliseconds", async () => {
    const { clock, tracer } = bed();
    await clock.advance(1_000);
    const base = 946_684_800_000;
    for (const startTime of [new Date(base + 400), [(base + 400) / 1e3, 0] as [number, number], base + 400, 400]) {
      const span = lean(tracer.startSpan("a", { startTime }));
      assert.ok(Math.abs(span.startEpochMs - (base + 400)) < 0.001, String(startTime));
      span
        .addEvent("e", 500)
        .addEvent("f", { a: 1 }, 600)
        .addEvent("g", new Date(base + 700), 650);
      span.end(900);
      assert.equal(span.durationMs, 500);
      assert.deepEqual(
        span.events.map(({ epochMs }) => epochMs - base),
        [500, 600, 650],
      );
    }
    const now = lean(tracer.startSpan("a", { startTime: Number.NaN }));
    now.end(new Date(Number.NaN));
    assert.deepEqual([now.startEpochMs, now.durationMs], [base + 1_000, 0]);
    const backwards = lean(tracer.startSpan("a"));
    backwards.end(10);
    assert.equal(backwards.durationMs, 0);
  });

  test("limits: attributes keep the first, events and links the last, values are cut, all counted", () => {
    const { tracer } = bed({ limits: { attributes: 4, valueLength: 3, events: 2, links: 2, attributesEach: 1 } });
    const span = lean(tracer.start("a", 0, undefined, ["preset", 1]));
    span.setAttributes({ a: "12345", b: 1, c: 2, d: 3 }).setAttribute("e", 4).setAttribute("a", "abcdef");
    assert.deepEqual(attributesOf(span.attributes), { a: "abc", b: 1, c: 2 });
    assert.equal(span.droppedAttributes, 2);
    for (const name of ["e1", "e2", "e3"]) span.addEvent(name, { x: 1, y: 2 });
    assert.deepEqual(
      span.events.map(({ name }) => name),
      ["e2", "e3"],
    );
    assert.deepEqual([span.droppedEvents, span.events[0]!.droppedAttributes], [1, 1]);
    const context = span.spanContext();
    span.addLinks([1, 2, 3].map((n): Link => ({ context, attributes: { n, m: n } })));
    assert.deepEqual(
      span.links.map(({ attributes }) => attributes),
      [
        ["n", 2],
        ["n", 3],
      ],
    );
    assert.deepEqual([span.droppedLinks, span.links[0]!.droppedAttributes], [1, 1]);
  });

  test("nothing that it is given makes it throw (property)", () => {
    const { tracer, sink } = bed();
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const hostile = [
      cycle,
      {
        get bad(): never {
          throw new Error("getter");
        },
      },
      new Proxy(
        {},
        {
          ownKeys() {
            throw new Error("keys");
          },
          get() {
            throw new Error("get");
          },
        },
      ),
      { toString: null, valueOf: null },
      Symbol("s"),
      () => 1,
      10n ** 50n,
      "x".repeat(200_000),
      Array.from({ length: 100_000 }, (_, i) => i),
      Number.NaN,
      -Infinity,
      "a\nb\u0000\ud800",
      new Date(Number.NaN),
      new Map([[1, 2]]),
      Object.create(null),
    ];
    const any = fc.oneof(fc.constantFrom(...hostile), fc.anything());
    fc.assert(
      fc.property(any, any, any, (a, b, c) => {
        const span = tracer.startSpan(a as string, {
          attributes: { b },
          links: [a, { context: b }] as never,
          startTime: c as never,
        });
        span
          .setAttribute(a as string, b as string)
          .setAttribute("k", c as string)
          .setAttributes(a as never);
        span.addEvent(a as string, b as never, c as never).addEvent("n", { v: a, w: b });
        span
          .addLink(a as never)
          .addLinks(b as never)
          .addLinks([c] as never);
        span
          .setStatus(a as never)
          .setStatus({ code: SpanStatusCode.ERROR, message: b as string })
          .updateName(c as string);
        span.recordException(a as never, b as never);
        span.end(c as never);
        const data = sink.spans.pop()!;
        assert.ok(data.durationMs >= 0 && Number.isFinite(data.startEpochMs));
        assert.equal(typeof data.name, "string");
        const text = JSON.stringify([data.attributes, data.events]);
        assert.ok(text.length < 2_000_000, `${text.length}`);
      }),
      { numRuns: 300 },
    );
  });
});
