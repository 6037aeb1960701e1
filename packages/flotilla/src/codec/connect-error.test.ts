import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Code, codes, isCode } from "../errors/code.ts";
import { errorInfo } from "../errors/details.ts";
import { type RetryInfo, ServiceError } from "../errors/service-error.ts";
import { fromConnectError, toConnectError } from "./connect-error.ts";

test("an error comes out as it went in", () => {
  const code = fc.constantFrom(...(Object.keys(codes) as Code[]));
  const retry = fc.option(
    fc.oneof(
      fc.record({ afterMs: fc.oneof(fc.nat(), fc.constantFrom(40 / 3, 1e-5, 0.1)) }, { noNullPrototype: true }),
      fc.constant({ never: true }),
    ),
    { nil: undefined },
  );
  fc.assert(
    fc.property(code, fc.string(), fc.string({ minLength: 1 }), retry, (given, message, reason, again) => {
      const details = [errorInfo({ reason, domain: "example.org" })];
      const sent = new ServiceError(given, message, { details, ...(again !== undefined && { retry: again }) });
      const read = fromConnectError(JSON.parse(JSON.stringify(toConnectError(sent))), undefined);
      assert.deepEqual([read.code, read.message], [given, message]);
      const { afterMs, never } = (again ?? {}) as RetryInfo;
      assert.deepEqual([read.retry === undefined, read.retry?.never], [again === undefined, never]);
      // To the nanosecond.
      if (afterMs !== undefined)
        assert.ok(Math.abs(read.retry!.afterMs! - afterMs) <= 1e-6, String(read.retry!.afterMs));
      if (Number.isInteger(afterMs)) assert.equal(read.retry!.afterMs, afterMs);
      assert.deepEqual({ ...(read.details[0]!.value as object) }, { ...(details[0]!.value as object) });
    }),
  );
});

test("whatever a peer sends is an error with one of the sixteen codes", () => {
  const shape = fc.record(
    {
      code: fc.anything(),
      message: fc.anything(),
      details: fc.array(fc.record({ type: fc.anything(), value: fc.anything(), debug: fc.anything() })),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.anything(), shape), fc.option(fc.integer({ min: 100, max: 999 })), (json, status) => {
      const error = fromConnectError(json, status ?? undefined);
      assert.ok(error instanceof ServiceError && isCode(error.code));
      assert.equal(typeof error.message, "string");
    }),
    { numRuns: 1000 },
  );
});
