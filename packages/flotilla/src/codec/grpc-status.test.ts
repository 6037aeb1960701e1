import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Code, codes } from "../errors/code.ts";
import { errorInfo } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { newRecord } from "../metadata/metadata.ts";
import { ownMetadata, readStatus, writeStatus } from "./grpc-status.ts";

function cross(error: ServiceError): ServiceError | undefined {
  const trailers = newRecord();
  writeStatus(error, trailers);
  for (const value of Object.values(trailers)) assert.match(String(value), /^[\x20-\x7e]*$/);
  return readStatus(trailers, 200);
}

test("code, message, details and retry information cross", () => {
  const error = new ServiceError("aborted", "again, please", {
    details: [errorInfo({ reason: "R", domain: "d", metadata: { a: "b" } }), { type: "own.v1.Thing", value: { n: 1 } }],
    retry: { afterMs: 250 },
  });
  const got = cross(error)!;
  assert.deepEqual(
    [got.code, got.message, got.details, got.retry],
    [error.code, error.message, error.details, error.retry],
  );
  for (const code of Object.keys(codes) as Code[]) assert.equal(cross(new ServiceError(code, ""))?.code, code);
});

test("retry information is told as other clients understand it, too", () => {
  const of = (retry: { afterMs?: number; never?: true }): unknown => {
    const trailers = newRecord();
    writeStatus(new ServiceError("unavailable", "", { retry }), trailers);
    return trailers["grpc-retry-pushback-ms"];
  };
  assert.equal(of({ afterMs: 12.3 }), "13");
  assert.equal(of({ never: true }), "-1");
  const read = (value: string): unknown =>
    readStatus({ "grpc-status": "14", "grpc-retry-pushback-ms": value }, 200)?.retry;
  assert.deepEqual(read("40"), { afterMs: 40 });
  assert.deepEqual(read("-1"), { never: true });
  assert.deepEqual(read("soon"), { never: true });
});

test("what a service sets cannot pretend to be the protocol's, and stands once where it must", () => {
  const set = {
    "grpc-status": "0",
    "content-type": "text/html",
    ":status": "500",
    "x-own": ["1", "2"],
    etag: ["a", "b"],
  };
  assert.deepEqual({ ...ownMetadata(set) }, { "x-own": ["1", "2"], etag: "a, b" });
});

test("what is too large for a header is cut or left out", () => {
  const trailers = newRecord();
  const details = [{ type: "own.v1.Thing", value: { text: "x".repeat(10_000) } }];
  writeStatus(new ServiceError("internal", "y".repeat(10_000), { details }), trailers);
  assert.equal(String(trailers["grpc-message"]).length, 2048);
  assert.equal(trailers["grpc-status-details-bin"], undefined);
});

test("a message counts as it is encoded, and the details say no more of it", () => {
  for (const char of ["☺", "ü", "😈", "%", " "]) {
    const got = newRecord();
    const details = [{ type: "own.v1.Thing", value: { n: 1 } }];
    writeStatus(new ServiceError("internal", char.repeat(3000), { details }), got);
    assert.ok(String(got["grpc-message"]).length <= 2052, char);
    const cut = readStatus(got, 200)!;
    assert.match(cut.message, new RegExp(`^${char}{170,2048}$`, "u"));
    assert.deepEqual(cut.details, details);
    assert.ok(Buffer.from(String(got["grpc-status-details-bin"]), "base64").includes(cut.message));
  }
});

test("without a status of gRPC, that of HTTP counts", () => {
  assert.equal(readStatus({}, 503)?.code, "unavailable");
  assert.equal(readStatus({}, 404)?.code, "unimplemented");
  assert.equal(readStatus({}, 200)?.code, "unknown");
  assert.equal(readStatus({ "grpc-status": "ok" }, 200)?.code, "unknown");
  assert.equal(readStatus({ "grpc-status": "99" }, 200)?.code, "unknown");
  assert.equal(readStatus({ "grpc-status": "0" }, 200), undefined);
});

test("details that are garbage are as if they were not there", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const details = Buffer.from(bytes).toString("base64");
      const error = readStatus({ "grpc-status": "3", "grpc-message": "bad", "grpc-status-details-bin": details }, 200);
      assert.equal(error?.code, "invalid_argument");
      assert.equal(error.message, "bad");
    }),
    { numRuns: 1000 },
  );
});
