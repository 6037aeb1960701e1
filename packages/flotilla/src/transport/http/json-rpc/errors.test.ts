import assert from "node:assert/strict";
import { test } from "node:test";
import { type Code, codes } from "../../../errors/code.ts";
import { errorInfo, findDetail } from "../../../errors/details.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { errorText, FOREIGN_ERROR, readError, rpcCode } from "./errors.ts";

test("each code has a number of its own, in the ranges of the specification", () => {
  const numbers = Object.keys(codes).map((code) => rpcCode(code as Code));
  assert.equal(new Set(numbers).size, 16);
  assert.equal(rpcCode("invalid_argument"), -32_602);
  assert.equal(rpcCode("unimplemented"), -32_601);
  assert.equal(rpcCode("internal"), -32_603);
  assert.equal(rpcCode("not_found"), -32_005);
  for (const number of numbers) {
    assert.ok([-32_601, -32_602, -32_603].includes(number) || (number <= -32_000 && number >= -32_099), String(number));
  }
});

test("an error object says to people what it says to clients", () => {
  const error = new ServiceError("failed_precondition", "the hold is full", {
    details: [
      errorInfo({ reason: "HOLD_FULL", domain: "ships.example" }),
      { type: "ships.v1.Hold", value: { left: 0 } },
    ],
  });
  const { code, message, data } = JSON.parse(errorText(error)) as Record<string, never>;
  assert.deepEqual([code, message], [-32_009, "the hold is full"]);
  const { details, ...rest } = data as unknown as { details: { debug: unknown }[] };
  assert.deepEqual(rest, { code: "failed_precondition", reason: "HOLD_FULL" });
  assert.deepEqual(details[1]!.debug, { left: 0, "@type": "ships.v1.Hold" });
  assert.equal(
    errorText(new ServiceError("aborted", "")),
    '{"code":-32010,"message":"Aborted","data":{"code":"aborted","message":""}}',
  );
});

test("an error comes back as it was", () => {
  for (const code of Object.keys(codes) as Code[]) {
    for (const message of ["", "it is so"]) {
      const back = readError(JSON.parse(errorText(new ServiceError(code, message))), { "x-a": "1" });
      assert.deepEqual([back?.code, back?.message, back?.metadata], [code, message, { "x-a": "1" }]);
    }
  }
});

test("of a foreign server's error the number tells what it can, and a detail keeps the rest", () => {
  const read = (code: number, data?: unknown) => readError({ code, message: "no", data }, {})!;
  const known: [number, Code][] = [
    [-32_700, "internal"],
    [-32_600, "internal"],
    [-32_601, "unimplemented"],
    [-32_602, "invalid_argument"],
    [-32_603, "internal"],
    [-32_005, "unknown"],
    [42, "unknown"],
  ];
  for (const [number, code] of known) assert.equal(read(number).code, code);
  assert.deepEqual(findDetail(read(3, { why: ["x"] }), FOREIGN_ERROR), { code: 3, data: { why: ["x"] } });
  assert.deepEqual(findDetail(read(3), FOREIGN_ERROR), { code: 3 });
  assert.equal(readError({ code: 1 }, {})?.message, "");
  assert.equal(read(-32_000, { code: "no such code" }).code, "unknown");
  for (const data of [null, 1, "x", [], { code: 1 }, { code: "aborted", details: "x", message: 5 }]) read(1, data);
  for (const object of [undefined, null, 1, "x", [], {}, { code: "1", message: "x" }, { code: 1, message: 2 }]) {
    assert.equal(readError(object, {}), undefined);
  }
});
