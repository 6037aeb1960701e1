import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { codePoint } from "../../test/code-point.ts";
import type { Context } from "../context/context.ts";
import { background, withValue } from "../context/with.ts";
import { baggage, baggageHeader, formatBaggage, parseBaggage, withBaggage } from "./baggage.ts";
import { serverCallKey } from "./call.ts";
import { Metadata, type MetadataRecord } from "./metadata.ts";
import { currentTrace, isTraceparent, traceparentFlags, withTrace } from "./trace.ts";

function incoming(headers: MetadataRecord): Context {
  const metadata = new Metadata(headers);
  return withValue(background(), serverCallKey, {
    headers: metadata,
    traceparent: metadata.get("traceparent"),
    tracestate: metadata.get("tracestate"),
    deadline: undefined,
    observation: undefined,
    responseHeaders: new Metadata(),
    responseTrailers: new Metadata(),
    peer: "127.0.0.1:1",
    protocol: "memory",
  });
}

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const span = "00f067aa0ba902b7";

// The cases of the W3C's own test suite (w3c/trace-context, test/test.py), version 00 and later ones.
const traceparents: [string, boolean][] = [
  [`00-${trace}-${span}-01`, true],
  [`00-${trace}-${span}-00`, true],
  [`00-${trace}-${span}-ff`, true],
  [`00-${trace}-${span}-03`, true],
  [`cc-${trace}-${span}-01`, true],
  [`cc-${trace}-${span}-01-what-the-future-will-be-like`, true],
  [`cc-${trace}-${span}-01-`, true],
  [`cc-${trace}-${span}-01.what`, false],
  [`00-${trace}-${span}-01-what`, false],
  [`00-${trace}-${span}-01-`, false],
  [`00-${trace}-${span}-01.`, false],
  [`ff-${trace}-${span}-01`, false],
  [`.0-${trace}-${span}-01`, false],
  [`0-${trace}-${span}-01`, false],
  [`000-${trace}-${span}-01`, false],
  [`FE-${trace}-${span}-01`, false],
  [`00-${"0".repeat(32)}-${span}-01`, false],
  [`00-${trace}-${"0".repeat(16)}-01`, false],
  [`00-${trace.slice(1)}-${span}-01`, false],
  [`00-${trace}0-${span}-01`, false],
  [`00-${trace.toUpperCase()}-${span}-01`, false],
  [`00-${trace.slice(1)}.-${span}-01`, false],
  [`00-${trace}-${span.slice(1)}-01`, false],
  [`00-${trace}-${span}0-01`, false],
  [`00-${trace}-${span.toUpperCase()}-01`, false],
  [`00-${trace}-${span}-1`, false],
  [`00-${trace}-${span}-.1`, false],
  [`00-${trace}-${span}-001`, false],
  [`00-${trace}-${span}`, false],
  [` 00-${trace}-${span}-01`, false],
  [`00-${trace}-${span}-01\n`, false],
  [`00_${trace}_${span}_01`, false],
  ["", false],
];

describe("traceparent", () => {
  for (const [value, valid] of traceparents) {
    test(`${JSON.stringify(value)} is ${valid ? "valid" : "invalid"}`, () => {
      assert.equal(isTraceparent(value), valid);
      // What is of a later version goes on as version 00.
      const expected = valid ? { traceparent: `00-${value.slice(3, 55)}`, tracestate: "a=1" } : undefined;
      assert.deepEqual(currentTrace(incoming({ traceparent: value, tracestate: "a=1" })), expected);
    });
  }

  test("that came twice counts as absent", () => {
    const value = `00-${trace}-${span}-01`;
    assert.equal(currentTrace(incoming({ traceparent: [value, value] })), undefined);
  });

  test("agrees with the pattern of the specification, whatever comes (property)", () => {
    const pattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[^]*)?$/;
    const expected = (value: string): boolean =>
      pattern.test(value) && (value.length === 55 || !value.startsWith("00"));
    const valid = `00-${trace}-${span}-01`;
    const bent = fc.tuple(
      fc.nat({ max: 54 }),
      fc.string({ unit: codePoint, maxLength: 2 }),
      fc.constantFrom(valid, `cc${valid.slice(2)}-x`),
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: codePoint }), bent), (given) => {
        const value =
          typeof given === "string" ? given : given[2].slice(0, given[0]) + given[1] + given[2].slice(given[0] + 1);
        assert.equal(isTraceparent(value), expected(value));
      }),
    );
    // U+0130 has the low byte of "0".
    assert.equal(isTraceparent(valid.replace("4b", "4\u0130")), false);
    assert.equal(isTraceparent(`${valid.slice(0, -1)}\u0131`), false);
  });

  test("reads the flags", () => {
    for (const flags of ["00", "01", "03", "9f", "ff"]) {
      assert.equal(traceparentFlags(`00-${trace}-${span}-${flags}`), Number.parseInt(flags, 16));
    }
  });

  test("a malformed tracestate is dropped; one without traceparent is nothing", () => {
    const traceparent = `00-${trace}-${span}-01`;
    const state = (tracestate: string): string | undefined =>
      currentTrace(incoming({ traceparent, tracestate }))?.tracestate;
    assert.equal(state("a=1, b=2"), "a=1, b=2");
    for (const bad of ["", " ", "A=1", "a=1,b", `a=1,b=${"x".repeat(257)}`]) assert.equal(state(bad), undefined, bad);
    assert.equal(currentTrace(incoming({ tracestate: "a=1" })), undefined);
    assert.equal(currentTrace(background()), undefined);
  });

  test("what withTrace set goes before what came in", () => {
    const set = { traceparent: `00-${trace}-${"1".repeat(16)}-01`, tracestate: undefined };
    assert.equal(currentTrace(withTrace(incoming({ traceparent: `00-${trace}-${span}-01` }), set)), set);
  });
});

describe("baggage", () => {
  test("reads the examples of the specification", () => {
    assert.deepEqual(
      [...parseBaggage("key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue")],
      [
        ["key1", "value1"],
        ["key2", "value2"],
        ["key3", "value3"],
      ],
    );
    assert.deepEqual(
      [...parseBaggage("userId=alice,serverNode=DF%2028,isProduction=false")],
      [
        ["userId", "alice"],
        ["serverNode", "DF 28"],
        ["isProduction", "false"],
      ],
    );
    assert.equal(parseBaggage("userId=Am%C3%A9lie").get("userId"), "Amélie");
  });

  test("skips malformed members and keeps the others", () => {
    const header = "=x,a b=1,noequals,bad=%E0%A4%A,bad2=%,ok=1,,;p,\u00e4=1,also=a=b==,empty=";
    assert.deepEqual(
      [...parseBaggage(header)],
      [
        ["ok", "1"],
        ["also", "a=b=="],
        ["empty", ""],
      ],
    );
    assert.equal(parseBaggage("").size, 0);
  });

  test("names that objects inherit are names like any other; the last of a name counts", () => {
    assert.deepEqual(
      [...parseBaggage("__proto__=1,constructor=2,__proto__=3")],
      [
        ["__proto__", "3"],
        ["constructor", "2"],
      ],
    );
  });

  test("is bounded: 180 members, 8192 characters", () => {
    const many = Array.from({ length: 200 }, (_, i) => `k${i}=${i}`).join(",");
    assert.deepEqual([...parseBaggage(many).keys()].slice(-1), ["k179"]);
    assert.equal(parseBaggage(`a=${"x".repeat(8190)}`).size, 1);
    assert.equal(parseBaggage(`a=${"x".repeat(8191)}`).size, 0);
    assert.equal(baggageHeader(incoming({ baggage: `a=${"x".repeat(8191)}` })), undefined);

    const members = (n: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, ""]));
    assert.equal(baggage(withBaggage(background(), members(180))).size, 180);
    assert.throws(() => withBaggage(background(), members(181)), {
      name: "TypeError",
      message: /180 members or 8192 bytes/,
    });
    assert.throws(() => withBaggage(background(), { a: "x".repeat(8191) }), /180 members or 8192 bytes/);
    assert.throws(() => withBaggage(background(), { a: "ü".repeat(1_366) }), /180 members or 8192 bytes/);
  });

  test("withBaggage adds to what came in; untouched it is sent on as it came", () => {
    const ctx = incoming({ baggage: "a=1;prop, b=2" });
    assert.equal(baggageHeader(ctx), "a=1;prop, b=2");
    const more = withBaggage(ctx, { b: "x,y;z=ü", c: "3" });
    assert.deepEqual(
      [...baggage(more)],
      [
        ["a", "1"],
        ["b", "x,y;z=ü"],
        ["c", "3"],
      ],
    );
    assert.equal(baggageHeader(more), "a=1,b=x%2Cy%3Bz%3D%C3%BC,c=3");
    assert.equal(baggageHeader(ctx), "a=1;prop, b=2");
    assert.equal(baggageHeader(background()), undefined);
    assert.equal(baggageHeader(withBaggage(background(), {})), undefined);
  });

  test("refuses what could not be sent, saying what is wrong", () => {
    for (const name of ["", "a b", "a=b", "a,b", "ä", "a\r\nx"]) {
      assert.throws(() => withBaggage(background(), { [name]: "1" }), {
        name: "TypeError",
        message: /not a valid token/,
      });
      assert.throws(() => formatBaggage(new Map([[name, "1"]])), TypeError);
    }
    assert.throws(() => withBaggage(background(), { a: "\ud800" }), {
      name: "TypeError",
      message: /half a surrogate pair/,
    });
    assert.equal(formatBaggage(new Map([["a", "\ud800"]])), "a=%EF%BF%BD");
  });

  const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
  const members = fc.array(fc.tuple(token, fc.string({ unit: "grapheme" })), { maxLength: 10 });

  test("what is written reads back the same, in characters every header can carry (property)", () => {
    fc.assert(
      fc.property(members, (pairs) => {
        const expected = new Map(pairs);
        const header = formatBaggage(expected);
        assert.match(header, /^[\x21-\x7e]*$/);
        assert.deepEqual(parseBaggage(header), expected);
      }),
    );
  });

  test("parse never throws, and what it gives can be written (property)", () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), (header) => {
        const parsed = parseBaggage(header);
        assert.deepEqual(parseBaggage(formatBaggage(parsed)), parsed);
      }),
    );
  });
});
