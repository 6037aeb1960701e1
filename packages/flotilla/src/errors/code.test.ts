import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { codeFromHttpStatus, codeFromString, codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { type Code, codeFromGrpc, codeFromHttp, codes, isCode } from "./code.ts";

const all = Object.keys(codes) as Code[];

describe("codes", () => {
  test("are sixteen, numbered 1 to 16 as in gRPC", () => {
    assert.deepEqual(
      all.map((code) => codes[code].grpc),
      Array.from({ length: 16 }, (_, i) => i + 1),
    );
    assert.equal(new Set(all.map((code) => codes[code].title)).size, 16);
  });

  test("carry the name, number and HTTP status that the Connect reference implementation gives them", () => {
    for (const code of all) {
      const theirs = codeFromString(code);
      assert.ok(theirs !== undefined, code);
      assert.equal(codes[code].grpc, theirs);
      assert.equal(codes[code].http, codeToHttpStatus(theirs), code);
    }
  });

  test("isCode knows them, and nothing that objects inherit", () => {
    for (const code of all) assert.ok(isCode(code));
    for (const no of [
      "ok",
      "CANCELED",
      "cancelled",
      "",
      "__proto__",
      "constructor",
      5,
      null,
      undefined,
      {},
      ["canceled"],
    ]) {
      assert.equal(isCode(no), false);
    }
  });
});

describe("codeFromGrpc", () => {
  test("is the inverse of the table; 0 is no error, any other number unknown", () => {
    for (const code of all) assert.equal(codeFromGrpc(codes[code].grpc), code);
    assert.equal(codeFromGrpc(0), undefined);
    for (const status of [17, -1, 1.5, NaN, Infinity, 1e9]) assert.equal(codeFromGrpc(status), "unknown");
  });
});

describe("codeFromHttp", () => {
  test("says what the Connect reference implementation says, for every status", () => {
    for (let status = 100; status < 600; status++) {
      assert.equal(codes[codeFromHttp(status)].grpc, codeFromHttpStatus(status), `${status}`);
    }
  });
});
