import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Context,
  createContextKey,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { seededRandom } from "../../clock/random.ts";
import { createIds } from "./ids.ts";
import { createTracerProvider } from "./provider.ts";
import { never, parentBased } from "./sampler.ts";
import type { LeanSpan } from "./span.ts";
import { bed, RecordingSink } from "./test-fixtures/recorder.ts";
import { UnsampledSpan } from "./unsampled-span.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("ids", () => {
  test("are hex, never zero, never the same, and repeat with the seed", () => {
    const ids = createIds(seededRandom(7));
    const again = createIds(seededRandom(7));
    const seen = new Set<string>();
    for (let i = 0; i < 5_000; i++) {
      const traceId = ids.traceId();
      const spanId = ids.spanId();
      assert.match(traceId, /^[0-9a-f]{32}$/);
      assert.match(spanId, /^[0-9a-f]{16}$/);
      seen.add(traceId).add(spanId);
      assert.deepEqual([again.traceId(), again.spanId()], [traceId, spanId]);
    }
    assert.equal(seen.size, 10_000);
    assert.notEqual(createIds().traceId(), createIds().traceId());
  });

  test("are valid even when chance gives zeros only", () => {
    const ids = createIds({ next: () => 0 });
    assert.deepEqual([ids.traceId(), ids.spanId()], [`${"0".repeat(31)}1`, `${"0".repeat(15)}1`]);
  });
});

describe("tracer", () => {
  test("a new root is sampled and random; a child takes the trace, the state and the random flag", () => {
    const { tracer, provider } = bed();
    const root = tracer.start("root", 1, undefined, []);
    assert.deepEqual([root.traceFlags, root.tracestate], [3, undefined]);
    const child = tracer.start("child", 0, root, []) as LeanSpan;
    assert.deepEqual([child.traceId, child.parentSpanId, child.parentIsRemote], [root.traceId, root.spanId, false]);
    assert.equal(child.localRoot, root);
    const remote = tracer.startRemote("remote", 1, `00-${TRACE}-${SPAN}-01`, "a=1,b=2", []) as LeanSpan;
    assert.deepEqual([remote.traceId, remote.parentSpanId, remote.traceFlags], [TRACE, SPAN, 1]);
    assert.deepEqual([remote.parentIsRemote, remote.tracestate, remote.localRoot], [true, "a=1,b=2", remote]);
    assert.equal(remote.spanContext().traceState?.get("b"), "2");
    const headers = tracer.start("h", 1, { traceparent: `00-${TRACE}-${SPAN}-03`, tracestate: "c=1" }, []) as LeanSpan;
    assert.deepEqual([headers.parentIsRemote, headers.traceFlags, headers.tracestate], [true, 3, "c=1"]);
    assert.deepEqual(provider.counts, { recorded: 4, unsampled: 0 });
  });

  test("malformed headers begin a new trace; a malformed state is dropped; unknown flags do not go on", () => {
    const { tracer } = bed();
    for (const bad of [
      undefined,
      "",
      "x",
      `00-${"0".repeat(32)}-${SPAN}-01`,
      `ff-${TRACE}-${SPAN}-01`,
      "x".repeat(1e6),
    ]) {
      const span = tracer.startRemote("a", 1, bad, "a=1", []) as LeanSpan;
      assert.deepEqual([span.parentSpanId, span.tracestate, span.traceFlags], [undefined, undefined, 3]);
    }
    const span = tracer.startRemote("a", 1, `00-${TRACE}-${SPAN}-ff`, "A=1", []) as LeanSpan;
    assert.deepEqual([span.traceparent, span.tracestate], [`00-${TRACE}-${span.spanId}-03`, undefined]);
    const later = tracer.startRemote("a", 1, `cc-${TRACE}-${SPAN}-01-more`, undefined, []) as LeanSpan;
    assert.equal(later.traceparent, `00-${TRACE}-${later.spanId}-01`);
  });

  test("what is not sampled is not recorded, and goes on with a span id of its own", () => {
    const { tracer, sink, provider } = bed({ sampler: parentBased({ root: never }) });
    const root = tracer.start("root", 1, undefined, []);
    const child = tracer.start("child", 0, root, []);
    const remote = tracer.startRemote("r", 1, `00-${TRACE}-${SPAN}-00`, "a=1", []);
    for (const span of [root, child, remote]) {
      assert.ok(span instanceof UnsampledSpan);
      assert.equal(span.isRecording(), false);
      span.setAttribute().setAttributes().addEvent().addLink().addLinks().setStatus().updateName().recordException();
      span.end();
      span.finish();
    }
    assert.equal(child.traceparent, `00-${root.traceId}-${child.spanId}-02`);
    assert.notEqual(child.spanId, root.spanId);
    assert.deepEqual([remote.traceparent, remote.tracestate], [`00-${TRACE}-${remote.spanId}-00`, "a=1"]);
    assert.equal(remote.spanContext().traceState?.serialize(), "a=1");
    assert.deepEqual(sink.spans, []);
    assert.deepEqual(provider.counts, { recorded: 0, unsampled: 3 });
  });

  test("a jump of the wall clock shows in the next trace, never within one", () => {
    let now = 0;
    let epoch = 1_000_000;
    const clock = { now: () => now, epoch: () => epoch, schedule: () => ({ cancel() {}, unref() {} }) };
    const tracer = createTracerProvider({ clock, sink: new RecordingSink() }).getTracer("t");
    now = 2_000;
    epoch = 5_000_000;
    const root = tracer.start("root", 0, undefined, []) as LeanSpan;
    assert.equal(root.startEpochMs, 5_000_000);
    now = 10_000;
    epoch = 1;
    const child = tracer.start("child", 0, root, []) as LeanSpan;
    assert.equal(child.startEpochMs, 5_008_000);
    assert.equal((tracer.start("other", 0, undefined, []) as LeanSpan).startEpochMs, 1);
  });

  test("one tracer for each name, version and schema", () => {
    const { provider } = bed();
    assert.equal(provider.getTracer("a"), provider.getTracer("a"));
    assert.notEqual(provider.getTracer("a"), provider.getTracer("a", "1"));
    const { scope } = provider.getTracer("a", "1", { schemaUrl: "u" });
    assert.deepEqual(scope, { name: "a", version: "1", schemaUrl: "u" });
    assert.equal(provider.getTracer(undefined as never).scope.name, "");
    for (let i = 0; i < 2_000; i++) provider.getTracer(`t${i}`);
    assert.equal(provider.getTracer("t10"), provider.getTracer("t10"));
    assert.notEqual(provider.getTracer("t1999"), provider.getTracer("t1999"));
  });

  test("flush and shutdown go to the sink; bad limits are refused", async () => {
    const { provider, sink } = bed();
    await provider.forceFlush();
    await provider.shutdown();
    assert.deepEqual([sink.flushes, sink.closes], [1, 1]);
    assert.throws(() => createTracerProvider({ sink, limits: { events: -1 } }), {
      name: "RangeError",
      message: /limits\.events must be a whole number of 0 or more, got -1/,
    });
  });
});

/** What an API user sees of a span, ids aside. */
interface Seen {
  readonly name: string;
  readonly kind: number;
  readonly parent: string | undefined;
  readonly sampled: boolean;
  readonly attributes: Record<string, unknown>;
  readonly status: [number, string | undefined];
  readonly events: [string, Record<string, unknown>][];
  readonly links: number;
}

const object = (list: readonly unknown[]): Record<string, unknown> => {
  const result: Record<string, unknown> = {};
  for (let i = 0; i < list.length; i += 2) result[list[i] as string] = list[i + 1];
  return result;
};

function ours(run: (tracer: Tracer) => void): Seen[] {
  const { tracer, sink } = bed();
  run(tracer);
  const names = new Map(sink.spans.map(({ spanId, name }) => [spanId, name]));
  return sink.spans.map((span) => ({
    name: span.name,
    kind: span.kind,
    parent: span.parentSpanId === undefined ? undefined : (names.get(span.parentSpanId) ?? span.parentSpanId),
    sampled: (span.traceFlags & 1) === 1,
    attributes: object(span.attributes),
    status: [span.statusCode, span.statusMessage],
    events: span.events.map(({ name, attributes }) => [name, object(attributes)]),
    links: span.links.length,
  }));
}

function official(run: (tracer: Tracer) => void): Seen[] {
  const exporter = new InMemorySpanExporter();
  run(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer("test"));
  const spans = exporter.getFinishedSpans();
  const names = new Map(spans.map((span) => [span.spanContext().spanId, span.name]));
  return spans.map((span) => ({
    name: span.name,
    kind: span.kind,
    parent: span.parentSpanContext && (names.get(span.parentSpanContext.spanId) ?? span.parentSpanContext.spanId),
    sampled: (span.spanContext().traceFlags & 1) === 1,
    attributes: { ...span.attributes },
    status: [span.status.code, span.status.message],
    events: span.events.map(({ name, attributes }) => [name, { ...attributes }]),
    links: span.links.length,
  }));
}

describe("the OpenTelemetry API", () => {
  test("gives what the official SDK gives, whatever is done with spans (property)", () => {
    const value = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.double({ noNaN: true }),
      fc.boolean(),
      fc.array(fc.string()),
      fc.array(fc.integer()),
    );
    const name = fc.constantFrom("a", "b", "c", "d");
    const attributes = fc.dictionary(name, value, { noNullPrototype: true });
    const at = fc.nat({ max: 5 });
    const step = fc.oneof(
      fc.record({
        do: fc.constant("start" as const),
        name,
        kind: fc.constantFrom<SpanKind[]>(
          SpanKind.INTERNAL,
          SpanKind.SERVER,
          SpanKind.CLIENT,
          SpanKind.PRODUCER,
          SpanKind.CONSUMER,
        ),
        attributes,
        parent: fc.option(at),
        root: fc.boolean(),
      }),
      fc.record({ do: fc.constant("attribute" as const), at, name, value }),
      fc.record({ do: fc.constant("attributes" as const), at, attributes }),
      fc.record({ do: fc.constant("event" as const), at, name, attributes: fc.option(attributes, { nil: undefined }) }),
      fc.record({
        do: fc.constant("status" as const),
        at,
        code: fc.constantFrom<SpanStatusCode[]>(SpanStatusCode.UNSET, SpanStatusCode.OK, SpanStatusCode.ERROR),
        message: fc.string(),
      }),
      fc.record({ do: fc.constant("exception" as const), at, message: fc.string() }),
      fc.record({ do: fc.constant("link" as const), at, to: at }),
      fc.record({ do: fc.constant("name" as const), at, name }),
      fc.record({ do: fc.constant("end" as const), at }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "large" }), (steps) => {
        const run = (tracer: Tracer): void => {
          const spans: Span[] = [tracer.startSpan("first", {}, ROOT_CONTEXT)];
          const pick = (i: number): Span => spans[i % spans.length]!;
          for (const one of steps) {
            if (one.do === "start") {
              const parent = one.parent === null ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, pick(one.parent));
              spans.push(
                tracer.startSpan(one.name, { kind: one.kind, attributes: one.attributes, root: one.root }, parent),
              );
            } else if (one.do === "attribute") pick(one.at).setAttribute(one.name, one.value);
            else if (one.do === "attributes") pick(one.at).setAttributes(one.attributes);
            else if (one.do === "event") pick(one.at).addEvent(one.name, one.attributes);
            else if (one.do === "status") pick(one.at).setStatus(one);
            else if (one.do === "exception")
              pick(one.at).recordException({ name: "E", message: one.message, stack: "s" });
            else if (one.do === "link") pick(one.at).addLink({ context: pick(one.to).spanContext() });
            else if (one.do === "name") pick(one.at).updateName(one.name);
            else pick(one.at).end();
          }
          for (const span of spans) span.end();
        };
        assert.deepEqual(ours(run), official(run));
      }),
      { numRuns: 300 },
    );
  });

  test("a parent of another provider, local or remote, is a parent", () => {
    const { tracer, sink } = bed();
    for (const isRemote of [true, false]) {
      const parent = trace.wrapSpanContext({ traceId: TRACE, spanId: SPAN, traceFlags: 1, isRemote });
      tracer.startSpan("a", {}, trace.setSpan(ROOT_CONTEXT, parent)).end();
      const span = sink.spans.pop()!;
      assert.deepEqual([span.traceId, span.parentSpanId, span.parentIsRemote], [TRACE, SPAN, isRemote]);
    }
    const invalid = trace.wrapSpanContext({ traceId: "x", spanId: "y", traceFlags: 1 });
    tracer.startSpan("a", {}, trace.setSpan(ROOT_CONTEXT, invalid)).end();
    assert.equal(sink.spans.pop()!.parentSpanId, undefined);
  });

  test("honours the SDK's mark of suppressed tracing", () => {
    const { tracer, sink } = bed();
    const span = tracer.startSpan("a", {}, suppressTracing(ROOT_CONTEXT));
    assert.equal(isSpanContextValid(span.spanContext()), false);
    span.end();
    assert.deepEqual(sink.spans, []);
  });

  test("startActiveSpan takes its three forms and returns what the function returns", () => {
    const { tracer, sink } = bed();
    const key = createContextKey("k");
    const parent: Context = trace.setSpan(ROOT_CONTEXT.setValue(key, 1), tracer.start("parent", 0, undefined, []));
    const end = (result: string) => (span: Span) => {
      span.end();
      return result;
    };
    tracer.startSpan("null", null as never).end();
    sink.spans.length = 0;
    assert.equal(tracer.startActiveSpan("one", end("1")), "1");
    assert.equal(tracer.startActiveSpan("two", { kind: SpanKind.SERVER }, end("2")), "2");
    assert.equal(tracer.startActiveSpan("three", { attributes: { a: 1 } }, parent, end("3")), "3");
    assert.deepEqual(sink.names, ["one", "two", "three"]);
    assert.equal(sink.spans[1]!.kind, SpanKind.SERVER);
    assert.equal(sink.spans[2]!.parentSpanId, trace.getSpanContext(parent)!.spanId);
    assert.throws(
      () =>
        tracer.startActiveSpan("x", () => {
          throw new Error("mine");
        }),
      /mine/,
    );
  });
});
