import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Code, codes } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isHopeless } from "./one-way.ts";

describe("a message whose handler failed", () => {
  const hopeless = (never: boolean) =>
    (Object.keys(codes) as Code[]).filter((code) => isHopeless(new ServiceError(code, "failed", { retry: { never } })));

  test("is delivered again, but for what no delivery changes", () => {
    assert.deepEqual(hopeless(false).sort(), ["invalid_argument", "out_of_range", "unimplemented"]);
  });

  test("for which the error says `never` is delivered again where the reason passes by itself", () => {
    const again = Object.keys(codes).filter((code) => !hopeless(true).includes(code as Code));
    assert.deepEqual(again.sort(), ["aborted", "canceled", "deadline_exceeded", "resource_exhausted", "unavailable"]);
  });
});
