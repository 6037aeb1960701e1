import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import fc from "fast-check";
import type { SpanData } from "../model.ts";
import { drawTrace } from "./draw-trace.ts";
import { fit, formatMs, printable, widthOf } from "./terminal-text.ts";

function span(
  spanId: string,
  parentSpanId: string | undefined,
  startMs: number,
  durationMs: number,
  more: Partial<SpanData> = {},
): SpanData {
  return {
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId,
    parentSpanId,
    traceFlags: 3,
    parentIsRemote: false,
    traceState: undefined,
    name: spanId,
    kind: SpanKind.INTERNAL,
    scope: { name: "test", version: undefined, schemaUrl: undefined },
    startEpochMs: 1_000_000 + startMs,
    durationMs,
    preset: [],
    attributes: [],
    droppedAttributes: 0,
    events: [],
    droppedEvents: 0,
    links: [],
    droppedLinks: 0,
    statusCode: SpanStatusCode.UNSET,
    statusMessage: undefined,
    ...more,
  };
}

const booking = [
  span("store", "book", 8, 1.5),
  span("find", "book", 1, 6, { kind: SpanKind.CLIENT, name: "routing.Find" }),
  span("routing", "find", 2, 4, { kind: SpanKind.SERVER, name: "routing.Find", parentIsRemote: true }),
  span("attempt", "find", 1.2, 0.34, {
    statusCode: SpanStatusCode.ERROR,
    statusMessage: "unavailable",
    events: [
      { name: "exception", epochMs: 1_000_001.4, attributes: ["exception.message", "refused"], droppedAttributes: 0 },
    ],
  }),
  span("book", "caller", 0, 10, { kind: SpanKind.SERVER, name: "booking.Book" }),
];

describe("drawTrace", () => {
  test("draws the tree with bars, durations, services and errors", () => {
    const service = ({ spanId }: SpanData): string => (spanId === "routing" ? "routing" : "booking");
    assert.equal(
      drawTrace(booking, { columns: 70, service }),
      [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  10.0 ms, 5 spans, 1 error",
        "◀ booking.Book        booking ███████████████████████████████  10.0 ms",
        "├─ ▶ routing.Find     booking ···███████████████████·········  6.00 ms",
        "│  ├─ attempt         booking ···██··························   340 µs",
        "│  │    ✗ unavailable",
        "│  │    ◆ +200 µs exception: refused",
        "│  └─ ◀ routing.Find  routing ······█████████████············  4.00 ms",
        "└─ store              booking ························██████·  1.50 ms",
        "",
      ].join("\n"),
    );
  });

  test("with colours it says the same", () => {
    const coloured = drawTrace(booking, { colour: true, columns: 70 });
    assert.notEqual(coloured, stripVTControlCharacters(coloured));
    assert.equal(stripVTControlCharacters(coloured), drawTrace(booking, { columns: 70 }));
    assert.ok(coloured.includes("\u001B[31m"));
  });

  test("no spans, no drawing; many are cut", () => {
    assert.equal(drawTrace([]), "");
    const many = Array.from({ length: 50 }, (_, i) => span(`s${i}`, i === 0 ? undefined : "s0", i, 1));
    const text = drawTrace(many, { maxSpans: 10 });
    assert.equal(text.trimEnd().split("\n").length, 12);
    assert.match(text, /… 40 more spans\n$/);
    const events = Array.from({ length: 9 }, (_, i) => ({
      name: `e${i}`,
      epochMs: 1e6,
      attributes: [],
      droppedAttributes: 0,
    }));
    assert.match(drawTrace([span("a", undefined, 0, 1, { events })]), /e4\n.*… 4 more events\n$/);
    assert.doesNotMatch(drawTrace([span("a", undefined, 0, 1, { events })], { maxEvents: 0 }), /\+0|more/);
  });

  test("nothing in a name or message reaches the terminal as a control code", () => {
    const evil = "a\u001B[2Jb\nc\r\u0007\u202Ed\u200Be\u2028f\ud800g";
    const text = drawTrace(
      [
        span("a", undefined, 0, 1, {
          name: evil,
          statusCode: SpanStatusCode.ERROR,
          statusMessage: evil,
          events: [{ name: evil, epochMs: 1e6, attributes: ["exception.message", evil], droppedAttributes: 0 }],
        }),
      ],
      { service: evil },
    );
    assert.equal(text.split("\n").length, 5);
    assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Cs}]/u);
    assert.equal(text.isWellFormed(), true);
  });

  test("every span is drawn once, within the width, whatever their parents and times are (property)", () => {
    const id = fc.constantFrom("a", "b", "c", "d", "e", "f", "g");
    const any = fc.record({
      spanId: id,
      parent: fc.option(id, { nil: undefined }),
      start: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      duration: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e7, noNaN: true })),
      name: fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("日本語のとても長い名前です".repeat(9))),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(any, { selector: (one) => one.spanId, minLength: 1 }),
        fc.integer({ min: 0, max: 200 }),
        (given, columns) => {
          const spans = given.map((one) => span(one.spanId, one.parent, one.start, one.duration, { name: one.name }));
          const lines = drawTrace(spans, { columns, service: "svc" }).trimEnd().split("\n");
          assert.equal(lines.length, spans.length + 1);
          for (const line of lines.slice(1))
            assert.ok(widthOf(line) <= Math.max(columns, 48), `${widthOf(line)} > ${columns}: ${line}`);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a chain of ten thousand spans does not overflow the stack", () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => span(`s${i}`, i === 0 ? undefined : `s${i - 1}`, i, 1));
    assert.match(drawTrace(chain), /9800 more spans/);
  });
});

describe("text of the terminal", () => {
  test("durations", () => {
    const cases: [number, string][] = [
      [0, "0 µs"],
      [0.34, "340 µs"],
      [0.9996, "1.00 ms"],
      [9.994, "9.99 ms"],
      [12.44, "12.4 ms"],
      [345.6, "346 ms"],
      [999.6, "1.00 s"],
      [61_000, "61.00 s"],
      [1e7, "10000 s"],
    ];
    for (const [ms, text] of cases) assert.equal(formatMs(ms), text);
  });

  test("widths", () => {
    assert.deepEqual(["abc", "日本", "e\u0301", "🚢", ""].map(widthOf), [3, 4, 1, 2, 0]);
    assert.deepEqual([fit("abc", 5), fit("abcdef", 4), fit("日本語", 4), fit("abc", 0)], ["abc  ", "abc…", "日… ", ""]);
    assert.equal(printable("a\tb"), "a·b");
  });
});
