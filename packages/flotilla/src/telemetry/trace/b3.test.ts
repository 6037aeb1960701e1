import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { codePoint } from "../../../test/code-point.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { isTraceparent } from "../../metadata/trace.ts";
import { b3Headers, formatB3, readB3 } from "./b3.ts";

const trace = "80f198ee56343ba864fe8b2a57d3eff7";
const span = "e457b5a2e4d86bd1";
const parent = "05e3ac9a4f6e3b90";

function read(headers: Record<string, string>): string | undefined {
  return readB3(new Metadata(headers))?.traceparent;
}

describe("B3", () => {
  test("reads the examples of the specification", () => {
    assert.equal(read({ b3: `${trace}-${span}-1-${parent}` }), `00-${trace}-${span}-01`);
    assert.equal(read({ b3: `${trace}-${span}-d` }), `00-${trace}-${span}-01`);
    assert.equal(read({ b3: `${trace}-${span}-0` }), `00-${trace}-${span}-00`);
    assert.equal(read({ b3: `${trace}-${span}` }), `00-${trace}-${span}-00`);
    assert.equal(read({ b3: `${trace.slice(16)}-${span}-1` }), `00-${"0".repeat(16)}${trace.slice(16)}-${span}-01`);
    assert.equal(read({ b3: "0" }), undefined);
    const multi = { "x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-parentspanid": parent };
    assert.equal(read({ ...multi, "x-b3-sampled": "1" }), `00-${trace}-${span}-01`);
    assert.equal(read({ ...multi, "x-b3-sampled": "0" }), `00-${trace}-${span}-00`);
    assert.equal(read({ ...multi, "x-b3-flags": "1" }), `00-${trace}-${span}-01`);
    assert.equal(read(multi), `00-${trace}-${span}-00`);
    assert.equal(read({ "x-b3-traceid": trace }), undefined);
    assert.equal(read({}), undefined);
  });

  test("single goes before multi, unless it is malformed", () => {
    const multi = { "x-b3-traceid": trace, "x-b3-spanid": parent };
    assert.equal(read({ b3: `${trace}-${span}-1`, ...multi }), `00-${trace}-${span}-01`);
    assert.equal(read({ b3: "nonsense", ...multi }), `00-${trace}-${parent}-00`);
  });

  test("malformed counts as absent", () => {
    const zeros = "0".repeat(32);
    for (const b3 of [
      "",
      "-",
      `${zeros}-${span}-1`,
      `${trace}-${zeros.slice(16)}-1`,
      `${trace}-${span}-2`,
      `${trace}-${span}-1-x`,
      `${trace}-${span}-1-${parent}-1`,
      `${trace}x-${span}-1`,
      `g${trace.slice(1)}-${span}-1`,
      "x".repeat(1e6),
    ]) {
      assert.equal(read({ b3 }), undefined, b3.slice(0, 80));
    }
  });

  test("what is written reads back the same (property)", () => {
    const id = (length: number): fc.Arbitrary<string> =>
      fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(id(32), id(16), fc.boolean(), (traceId, spanId, on) => {
        const given = { traceparent: `00-${traceId}-${spanId}-${on ? "03" : "02"}`, tracestate: undefined };
        const expected = `00-${traceId}-${spanId}-${on ? "01" : "00"}`;
        assert.equal(read({ b3: formatB3(given) }), expected);
        assert.equal(read(b3Headers(given)), expected);
      }),
    );
  });

  test("never throws, and gives valid positions only (property)", () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), fc.string({ unit: codePoint }), (a, b) => {
        for (const headers of [{ b3: a }, { "x-b3-traceid": a, "x-b3-spanid": b }]) {
          const found = read(headers);
          assert.ok(found === undefined || isTraceparent(found));
        }
      }),
    );
  });
});
