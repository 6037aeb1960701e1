import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TraceState } from "@opentelemetry/core";
import fc from "fast-check";
import { codePoint } from "../../test/code-point.ts";
import { isTracestateKey, isTracestateValue, parseTracestate } from "./tracestate.ts";

const x = (n: number): string => "x".repeat(n);
const list = (n: number): string => Array.from({ length: n }, (_, i) => `k${i}=${i}`).join(",");

// After the W3C's own test suite (w3c/trace-context, test/test.py); undefined: discarded whole.
const headers: [string, string[] | undefined][] = [
  ["foo=1", ["foo", "1"]],
  ["foo=1,bar=2", ["foo", "1", "bar", "2"]],
  ["foo=1, bar=2", ["foo", "1", "bar", "2"]],
  ["foo=1 \t , \t bar=2, \t baz=3", ["foo", "1", "bar", "2", "baz", "3"]],
  ["foo=1,", ["foo", "1"]],
  [",foo=1,,bar=2, ,", ["foo", "1", "bar", "2"]],
  ["foo=a b", ["foo", "a b"]],
  ["foo= a", ["foo", " a"]],
  ["fw529a3039@dt=FfAAAAAA", ["fw529a3039@dt", "FfAAAAAA"]],
  ["0tenant@sys=1", ["0tenant@sys", "1"]],
  ["foo=1,foo=2", ["foo", "1"]],
  [`${x(256)}=1`, [x(256), "1"]],
  [`${x(257)}=1`, undefined],
  [`${x(241)}@${x(14)}=1`, [`${x(241)}@${x(14)}`, "1"]],
  [`${x(242)}@v=1`, undefined],
  [`t@${x(15)}=1`, undefined],
  [`a=${x(256)}`, ["a", x(256)]],
  [`a=${x(257)}`, undefined],
  ["", []],
  [" , ", []],
  ["foo", undefined],
  ["foo=", undefined],
  ["=1", undefined],
  ["foo=1=2", undefined],
  ["foo =1", undefined],
  ["FOO=1", undefined],
  ["foo.bar=1", undefined],
  ["0foo=1", undefined],
  ["foo@=1", undefined],
  ["@foo=1", undefined],
  ["foo@@bar=1", undefined],
  ["foo@bar@baz=1", undefined],
  ["foo@0bar=1", undefined],
  ["foo=1;bar=\u00e4", undefined],
  ["foo=\u0001", undefined],
  [list(32), list(32).split(/[,=]/)],
  [list(33), undefined],
  [`${x(200)}=${x(55)},${x(100)}=${x(154)}`, [x(200), x(55), x(100), x(154)]],
  [`${x(200)}=${x(55)},${x(100)}=${x(155)}`, undefined],
];

describe("tracestate", () => {
  for (const [header, expected] of headers) {
    const shown = header.length > 40 ? `${header.slice(0, 40)}… (${header.length})` : header;
    test(`${JSON.stringify(shown)} ${expected === undefined ? "is discarded" : "is read"}`, () => {
      assert.deepEqual(parseTracestate(header), expected);
    });
  }

  test("what is accepted reads the same with the official SDK (property)", () => {
    const key = fc.stringMatching(/^[a-z][_0-9a-z\-*/]{0,6}(@[a-z]{1,3})?$/);
    const value = fc.oneof(fc.stringMatching(/^[ -~]{0,6}[!-~]$/), fc.string({ maxLength: 3 }));
    const blank = fc.constantFrom("", " ", "\t");
    const member = fc
      .tuple(blank, key, value, blank)
      .map(([before, name, text, after]) => `${before}${name}=${text}${after}`);
    fc.assert(
      fc.property(fc.array(fc.oneof(member, fc.constant("")), { maxLength: 6 }), (members) => {
        const read = parseTracestate(members.join(","));
        if (read === undefined) return;
        const names = read.filter((_, i) => i % 2 === 0);
        fc.pre(names.length === members.filter((text) => text !== "").length);
        const official = new TraceState(members.join(","));
        for (let i = 0; i < read.length; i += 2) assert.equal(official.get(read[i]!), read[i + 1]);
      }),
    );
  });

  test("names and values are judged as by the specification's patterns (property)", () => {
    const simple = /^[a-z][_0-9a-z\-*/]{0,255}$/;
    const multi = /^[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13}$/;
    const keyish = fc.string({ unit: fc.constantFrom("a", "0", "_", "-", "*", "/", "@", "A", ".", " "), maxLength: 8 });
    fc.assert(
      fc.property(keyish, (key) => {
        assert.equal(isTracestateKey(key), simple.test(key) || multi.test(key));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: codePoint, maxLength: 6 }), (value) => {
        assert.equal(
          isTracestateValue(value),
          /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/.test(value),
        );
      }),
    );
  });

  test("never throws (property)", () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), (header) => {
        parseTracestate(header);
      }),
    );
  });
});
