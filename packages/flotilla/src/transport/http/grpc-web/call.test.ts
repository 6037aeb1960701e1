import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { encodeEnvelope, encodeTextEnvelope } from "../../../codec/envelope.ts";
import { background, withTimeout } from "../../../context/with.ts";
import { type Code, isCode } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { withHeaders, withResponseObserver } from "../../../metadata/call.ts";
import type { MetadataRecord } from "../../../metadata/metadata.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { Freight } from "../test-fixtures/freight.ts";
import { grpcWeb } from "./call.ts";
import { settleGrpcWebClient } from "./options.ts";
import { parseTrailers } from "./trailers.ts";

const settings = settleGrpcWebClient({ maxMessageBytes: 1000, compress: true });
const methods = Object.fromEntries(Freight.methods.map((method) => [method.name, method]));
const json = { "content-type": "application/grpc-web+json" };
const ok = encodeTextEnvelope(0x80, "grpc-status: 0\r\n");
const message = encodeTextEnvelope(0, '{"text":"y"}');

/** Has a call answered so. */
function answered(body: Uint8Array | readonly Uint8Array[], headers: MetadataRecord = json, status = 200) {
  const bytes = Buffer.concat([body].flat());
  return grpcWeb.unary(methods["echo"]!, settings, async () => ({ status, headers, body: bytes }));
}

test("what is sent: a frame, and headers in gRPC's words", async () => {
  const sent: { verb: string; path: string; headers: readonly string[]; body: unknown }[] = [];
  const call = grpcWeb.unary(methods["echo"]!, settings, async (_ctx, verb, path, headers, body) => {
    sent.push({ verb, path, headers, body });
    return { status: 200, headers: json, body: Buffer.concat([message, ok]) };
  });
  const ctx = withTimeout(
    withHeaders(background(), { "x-own": "1", "grpc-encoding": "br", "content-type": "x/y" }),
    2000,
  );
  assert.deepEqual(await call(ctx, { text: "x" }), { text: "y" });
  ctx.cancel();
  const [{ verb, path, headers, body } = assert.fail("nothing was sent")] = sent;
  assert.deepEqual([verb, path], ["POST", "/test.v1.Freight/echo"]);
  assert.deepEqual(body, encodeTextEnvelope(0, '{"text":"x"}'));
  const pairs = Object.fromEntries(headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : [])));
  assert.match(pairs["grpc-timeout"]!, /^\d+[mu]$/);
  delete pairs["grpc-timeout"];
  assert.deepEqual(pairs, {
    "content-type": "application/grpc-web+json",
    accept: "application/grpc-web+json",
    "x-grpc-web": "1",
    "grpc-encoding": "gzip",
    "grpc-accept-encoding": "identity,gzip",
    "x-own": "1",
  });
});

test("trailers: as HTTP writes headers, and as others do", async () => {
  const record = parseTrailers(Buffer.from("grpc-status:0\nX-Two: 1\r\nx-two:2\r\n\r\n: none\r\nno colon\r\n"));
  assert.deepEqual({ ...record }, { "grpc-status": "0", "x-two": ["1", "2"] });
  const seen: unknown[] = [];
  const ctx = withResponseObserver(background(), (headers, trailers) =>
    seen.push(headers.get("x-h"), trailers.get("x-t")),
  );
  const call = answered([message, encodeTextEnvelope(0x80, "grpc-status: 0\r\nx-t: t\r\n")], { ...json, "x-h": "h" });
  assert.deepEqual(await call(ctx, { text: "x" }), { text: "y" });
  assert.deepEqual(seen, ["h", "t"]);
});

test("compressed messages and trailers", async () => {
  const packed = encodeEnvelope(1, gzipSync('{"text":"y"}'));
  const last = encodeEnvelope(0x81, gzipSync("grpc-status: 0\r\n"));
  const call = answered([packed, last], { ...json, "grpc-encoding": "gzip" });
  assert.deepEqual(await call(background(), { text: "x" }), { text: "y" });
});

describe("answers that are failures, or none", () => {
  const trailers = (text: string) => encodeTextEnvelope(0x80, text);
  const bomb = encodeEnvelope(1, gzipSync(Buffer.alloc(100_000)));
  const rows: [string, Parameters<typeof answered>, Code, RegExp][] = [
    ["in the trailers", [trailers("grpc-status:5\r\ngrpc-message:g%C3%B6ne\r\n")], "not_found", /^göne$/],
    ["after a message", [[message, trailers("grpc-status: 10\r\n")]], "aborted", /^$/],
    [
      "in the headers",
      [Buffer.alloc(0), { ...json, "grpc-status": "8", "grpc-message": "no" }],
      "resource_exhausted",
      /^no$/,
    ],
    ["a proxy's", [Buffer.from("<html>"), { "content-type": "text/html" }, 502], "unavailable", /HTTP 502/],
    [
      "of another protocol",
      [Buffer.from("{}"), { "content-type": "application/json" }],
      "unknown",
      /application\/json/,
    ],
    ["nothing at all", [Buffer.alloc(0)], "unknown", /without a grpc-status/],
    ["no trailers", [message], "unknown", /without a grpc-status/],
    ["no message", [ok], "unimplemented", /got none/],
    ["two messages", [[message, message, ok]], "unimplemented", /got more/],
    ["something behind the trailers", [[message, ok, message]], "internal", /bytes came behind the trailers/],
    ["flags that mean nothing", [encodeTextEnvelope(2, "{}")], "internal", /flags 2, which mean nothing/],
    ["cut in a message", [message.subarray(0, 8)], "internal", /ended inside a message, after 8 bytes/],
    [
      "a message too large",
      [encodeEnvelope(0, Buffer.alloc(1001))],
      "resource_exhausted",
      /1001 bytes is over the limit of 1000/,
    ],
    ["a bomb", [bomb, { ...json, "grpc-encoding": "gzip" }], "resource_exhausted", /1000/],
    ["compressed, and nobody says how", [encodeEnvelope(1, Buffer.from("x"))], "internal", /grpc-encoding is ""/],
    ["a message that is none", [[encodeTextEnvelope(0, "<html>"), ok]], "internal", /cannot be read/],
  ];
  for (const [name, answer, code, text] of rows) {
    test(name, async () => {
      const error = await failureOf(answered(...answer)(background(), { text: "x" }));
      assert.equal(error.code, code);
      assert.match(error.message, text);
    });
  }
});

test("whatever comes: messages, or an error that is not the caller's", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(message, ok, message.subarray(0, 7), encodeTextEnvelope(0x80, "grpc-status: 3x\r\n")),
  );
  const type = fc.constantFrom("application/grpc-web+json", "application/grpc-web", "application/grpc", "");
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), type, async (pieces, contentType) => {
      const headers = { "content-type": contentType, "grpc-encoding": "gzip" };
      const stream = grpcWeb.stream(methods["count"]!, settings, async () => ({
        status: 200,
        headers,
        body: (async function* chunks() {
          yield* pieces;
        })(),
        release() {},
        cancel() {},
      }));
      try {
        for await (const each of (await stream(background(), { to: 1 })) as AsyncIterable<unknown>) {
          assert.ok(each !== undefined);
        }
      } catch (error) {
        assert.ok(error instanceof ServiceError, String(error));
        assert.ok(isCode(error.code) && error.code !== "invalid_argument", `${error.code}: ${error.message}`);
      }
    }),
    { numRuns: 500 },
  );
});

test("options that are not legal", () => {
  assert.throws(
    () => settleGrpcWebClient({ maxMessageBytes: 0 }),
    /^TypeError: grpcWebClient: maxMessageBytes must be/,
  );
});
