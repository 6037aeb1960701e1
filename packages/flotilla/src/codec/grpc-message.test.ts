import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeMessage, encodeMessage, fittingMessage } from "./grpc-message.ts";

test("any message crosses", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (message) => {
      const written = encodeMessage(message);
      assert.match(written, /^[\x20-\x7e]*$/);
      assert.equal(written, written.trim());
      assert.equal(decodeMessage(written), message.toWellFormed());
    }),
  );
  assert.equal(encodeMessage("  a b  "), "%20 a b %20");
});

test("any header is read as some message", () => {
  fc.assert(fc.property(fc.string({ maxLength: 50 }), (value) => typeof decodeMessage(value) === "string"));
  assert.equal(decodeMessage("100%"), "100%");
  assert.equal(decodeMessage("%zz%4"), "%zz%4");
});

test("what fits is measured as it is encoded, and ends with a whole character", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 3000, size: "max" }), (message) => {
      const fitting = fittingMessage(message);
      assert.ok(message.startsWith(fitting));
      assert.ok(encodeMessage(fitting).length <= 2048 + 4);
      const rest = message.slice(fitting.length);
      if (rest !== "") assert.ok(encodeMessage(fitting + String.fromCodePoint(rest.codePointAt(0)!)).length > 2048);
    }),
  );
});
