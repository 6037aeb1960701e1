import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatTimeout, parseTimeout } from "./grpc-timeout.ts";

test("each unit is read", () => {
  const read = { "1H": 3_600_000, "2M": 120_000, "3S": 3000, "4m": 4, "5u": 0.005, "99999999n": 99.999999, "0m": 0 };
  for (const [text, ms] of Object.entries(read)) assert.ok(Math.abs(parseTimeout(text) - ms) < 1e-9, text);
});

test("what is no timeout is refused", () => {
  for (const text of ["", "1", "m", "-1m", "1.5S", "123456789m", "1 m", "1s", "1mm", "١m", "__proto__", "1h"]) {
    assert.throws(() => parseTimeout(text), { code: "invalid_argument" }, text);
  }
});

test("what is written is read as no more than was given, and as hardly less", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 3e11, noNaN: true }), (ms) => {
      const text = formatTimeout(ms);
      assert.match(text, /^\d{1,8}[HMSmun]$/);
      const back = parseTimeout(text);
      assert.ok(back <= ms && back >= Math.min(ms * 0.9 - 1, ms - 0.001 - ms * 0.5), `${ms} became ${text}`);
    }),
  );
  assert.equal(formatTimeout(-5), "0u");
  assert.equal(formatTimeout(0), "0u");
  assert.equal(formatTimeout(1e30), "99999999H");
});

test("any header is read as the specification's grammar has it, or refused", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...Array.from("0129HMSmun +-.")) }));
  fc.assert(
    fc.property(text, (value) => {
      const right = /^\d{1,8}[HMSmun]$/.test(value);
      try {
        assert.ok(right && parseTimeout(value) >= 0);
      } catch {
        assert.ok(!right, value);
        assert.throws(() => parseTimeout(value), { code: "invalid_argument" });
      }
    }),
    { numRuns: 2000 },
  );
});
