import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attributes, type AttributeValue, createTraceState, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { codePoint } from "../../../test/code-point.ts";
import type { AttributeList, Resource, SpanData } from "../model.ts";
import { decodeRequest } from "./test-fixtures/decode.ts";
import { scope, span } from "./test-fixtures/samples.ts";
import { traceEncoder } from "./traces.ts";

const listOf = (attributes: Attributes | undefined): AttributeList =>
  Object.entries(attributes ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
const ms = ([seconds, nanos]: readonly [number, number]): number => seconds * 1e3 + nanos / 1e6;

/** What the official SDK has recorded, in our model. */
function fromOfficial(official: ReadableSpan): SpanData {
  const context = official.spanContext();
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: official.parentSpanContext?.spanId,
    traceFlags: context.traceFlags,
    parentIsRemote: official.parentSpanContext?.isRemote ?? false,
    traceState: context.traceState?.serialize(),
    name: official.name,
    kind: official.kind,
    scope: { ...scope, name: official.instrumentationScope.name },
    startEpochMs: ms(official.startTime),
    durationMs: ms(official.duration),
    preset: [],
    attributes: listOf(official.attributes),
    droppedAttributes: official.droppedAttributesCount,
    events: official.events.map((event) => ({
      name: event.name,
      epochMs: ms(event.time),
      attributes: listOf(event.attributes),
      droppedAttributes: event.droppedAttributesCount ?? 0,
    })),
    droppedEvents: official.droppedEventsCount,
    links: official.links.map((link) => ({
      context: link.context,
      attributes: listOf(link.attributes),
      droppedAttributes: link.droppedAttributesCount ?? 0,
    })),
    droppedLinks: official.droppedLinksCount,
    statusCode: official.status.code,
    statusMessage: official.status.message,
  };
}

function recorded(record: (tracer: ReturnType<TracerProvider["getTracer"]>) => void): ReadableSpan[] {
  const memory = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: memory })] });
  record(provider.getTracer(scope.name, scope.version));
  return memory.getFinishedSpans();
}

const resourceOf = (spans: readonly ReadableSpan[]): Resource => ({ attributes: spans[0]!.resource.attributes });
const spansOf = (json: unknown): Record<string, unknown>[] =>
  (json as { resourceSpans: { scopeSpans: { spans: Record<string, unknown>[] }[] }[] }).resourceSpans.flatMap(
    ({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans),
  );
const encode = (spans: readonly SpanData[]): unknown =>
  decodeRequest("Trace", traceEncoder({ attributes: {} })(spans).bytes);

test("says of a span what the official serializer says of it", () => {
  const links = [
    {
      context: {
        traceId: "1".repeat(32),
        spanId: "2".repeat(16),
        traceFlags: 1,
        isRemote: true,
        traceState: createTraceState("a=1,b=2"),
      },
      attributes: { why: "batch" },
    },
    { context: { traceId: "3".repeat(32), spanId: "4".repeat(16), traceFlags: 0 } },
  ];
  const official = recorded((tracer) => {
    // Times that a double of milliseconds holds exactly.
    const made = tracer.startSpan("all", { kind: SpanKind.CLIENT, links, startTime: [1_732_421_234, 567_250_000] });
    made.setAttributes({ text: "grüße", yes: true, no: false, whole: 42, part: 0.5, list: ["a", "b"], none: [] });
    made.addEvent("first", { n: 1 }, [1_732_421_234, 567_500_000]);
    made.addEvent("second", [1_732_421_234, 568_000_000]);
    made.setStatus({ code: SpanStatusCode.ERROR, message: "böse" });
    made.end([1_732_421_234, 569_750_000]);
    const plain = tracer.startSpan("plain", { startTime: [1_732_421_235, 0] });
    plain.end([1_732_421_235, 500_000]);
  });
  const { bytes, failed } = traceEncoder(resourceOf(official))(official.map(fromOfficial));
  assert.equal(failed, 0);
  const theirs = decodeRequest("Trace", ProtobufTraceSerializer.serializeRequest(official)!);
  // A status is there in theirs when it is unset, too.
  for (const made of spansOf(theirs)) if (Object.keys(made.status as object).length === 0) delete made.status;
  // Each span of ours has a scope of its own here, and so an entry.
  assert.deepEqual(spansOf(decodeRequest("Trace", bytes)), spansOf(theirs));
});

const values: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string({ unit: codePoint, maxLength: 300 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)), maxLength: 80 }),
  fc.string({ minLength: 100, maxLength: 20_000, size: "max" }),
  fc.boolean(),
  fc.double(),
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(-0, 2 ** 53, -(2 ** 53), 2 ** 62, -(2 ** 63), 2 ** 63, 2 ** 64, 2 ** 28, 2 ** 32, -1, -(2 ** 32)),
  fc.array(fc.string({ unit: codePoint }), { maxLength: 200 }),
  fc.array(fc.double()),
  fc.array(fc.boolean()),
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.oneof(fc.constant(null), fc.array(fc.string(), { maxLength: 40 }), fc.integer())),
  fc.dictionary(
    fc.string({ unit: codePoint }),
    fc.oneof(fc.constant(null), fc.string(), fc.dictionary(fc.string(), fc.double())),
    { noNullPrototype: true },
  ),
);
const names = fc.oneof(
  // Of an object, names that are whole numbers come first, wherever they were put.
  fc.string({ unit: codePoint, minLength: 1 }).filter((name) => !/^\d+$/.test(name)),
  fc.constantFrom("a", "b", "http.route", "é".repeat(90)),
);
const attributeSets = fc.dictionary(names, values, { noNullPrototype: true, maxKeys: 12 });

/** A span of the official kind, as far as the serializer reads it. */
function official(attributes: Attributes): ReadableSpan {
  const made = recorded((tracer) => tracer.startSpan("x", { startTime: [1, 0] }).end([1, 0]))[0]!;
  return Object.create(made, { attributes: { value: attributes } }) as ReadableSpan;
}

test("any attributes are encoded as the official serializer does", () => {
  const encoder = traceEncoder({ attributes: {} });
  const model = official({});
  fc.assert(
    fc.property(attributeSets, attributeSets, fc.boolean(), (preset, own, cached) => {
      // A set of both: own attributes win, in the place of their name's first occurrence.
      const all = { ...preset, ...own };
      const [theirs] = spansOf(
        decodeRequest(
          "Trace",
          ProtobufTraceSerializer.serializeRequest([
            Object.create(model, { attributes: { value: all } }) as ReadableSpan,
          ])!,
        ),
      );
      const list = listOf(preset);
      const made = span({ preset: list, attributes: listOf(own) });
      const spans = cached ? [made, made] : [made];
      const { bytes, failed } = encoder(spans);
      assert.equal(failed, 0);
      const ours = spansOf(decodeRequest("Trace", bytes));
      assert.equal(ours.length, spans.length);
      for (const each of ours) assert.deepEqual(each.attributes, theirs?.attributes);
    }),
    { numRuns: 300 },
  );
});

test("times are exact to the nanosecond that a double of milliseconds holds", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4e12 }),
      fc.integer({ min: 0, max: 15 }),
      fc.integer({ min: 0, max: 1e12 }),
      (whole, sixteenths, nanos) => {
        const start = whole + sixteenths / 16;
        const [made] = spansOf(encode([span({ startEpochMs: start, durationMs: nanos / 1e6 })]));
        const expected = BigInt(whole) * 1_000_000n + BigInt(sixteenths * 62_500);
        assert.equal(BigInt((made?.startTimeUnixNano as string | undefined) ?? "0"), expected);
        assert.equal(BigInt((made?.endTimeUnixNano as string | undefined) ?? "0"), expected + BigInt(nanos));
      },
    ),
  );
  for (const impossible of [Number.NaN, Infinity, -1, 1e300]) {
    assert.equal(spansOf(encode([span({ startEpochMs: impossible })]))[0]?.startTimeUnixNano, undefined);
  }
});

test("groups by scope, in order, with names and schemas", () => {
  const other = { name: "other", version: undefined, schemaUrl: "https://example.com/schema" };
  const spans = [span({ name: "1" }), span({ name: "2", scope: other }), span({ name: "3" })];
  const encoder = traceEncoder({ attributes: { "service.name": "calc" }, schemaUrl: "https://example.com/resource" });
  for (let again = 0; again < 2; again++) {
    const json = decodeRequest("Trace", encoder(spans).bytes) as {
      resourceSpans: { scopeSpans: { spans: unknown[] }[] }[];
    };
    assert.deepEqual(
      json.resourceSpans.map((resource) => ({
        ...resource,
        scopeSpans: resource.scopeSpans.map((entry) => ({
          ...entry,
          spans: spansOf({ resourceSpans: [{ scopeSpans: [entry] }] }).map(({ name }) => name),
        })),
      })),
      [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "calc" } }] },
          schemaUrl: "https://example.com/resource",
          scopeSpans: [
            { scope: { name: "flotilla", version: "1.2.3" }, spans: ["1", "3"] },
            { scope: { name: "other" }, spans: ["2"], schemaUrl: "https://example.com/schema" },
          ],
        },
      ],
    );
  }
});

test("a name given twice counts with its last value, also after its bytes were forgotten", () => {
  const encoder = traceEncoder({ attributes: {} });
  const preset: AttributeList = ["a", 1, "b", 2];
  const made = span({ preset, attributes: ["b", 3, "c", 4, "c", 5] });
  const check = (): void => {
    assert.deepEqual(spansOf(decodeRequest("Trace", encoder([made]).bytes))[0]?.attributes, [
      { key: "a", value: { intValue: "1" } },
      { key: "b", value: { intValue: "3" } },
      { key: "c", value: { intValue: "5" } },
    ]);
  };
  check();
  // More names than are kept, so that all are forgotten.
  for (let i = 0; i < 5; i++) {
    encoder([span({ attributes: Array.from({ length: 1000 }, (_, n) => [`name-${i}-${n}`, n]).flat() })]);
  }
  check();
});

test("a span that cannot be encoded costs itself only", () => {
  const throwing = {
    get: () => {
      throw new Error("hostile");
    },
  };
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const { bytes, failed } = traceEncoder({ attributes: {} })([
    span({ name: "1" }),
    span({ name: "2", attributes: ["x", new Proxy([], throwing)] }),
    span({ name: "3", attributes: ["cycle", cycle, "nothing", null, "symbol", Symbol("s"), "ok", 1] }),
  ]);
  assert.equal(failed, 1);
  const [first, third] = spansOf(decodeRequest("Trace", bytes));
  assert.equal(first?.name, "1");
  const attributes = third?.attributes as { key: string; value: unknown }[];
  assert.deepEqual(
    attributes.map(({ key }) => key),
    ["cycle", "symbol", "ok"],
  );
  assert.equal(JSON.stringify(attributes[0]?.value).split("arrayValue").length - 1, 8, "a cycle is cut off");
  assert.deepEqual(attributes[1]?.value, {});
});

test("a request larger than the buffer", () => {
  const big = "ä".repeat(1_500_000);
  const spans = [
    span({ attributes: ["big", big] }),
    span({ name: big.slice(0, 100_000), statusCode: SpanStatusCode.ERROR, statusMessage: big }),
  ];
  const decoded = spansOf(encode(spans));
  assert.deepEqual(decoded[0]?.attributes, [{ key: "big", value: { stringValue: big } }]);
  assert.deepEqual(decoded[1]?.status, { code: 2, message: big });
});
