// Whatever comes, from either side: an answer of the protocol, or a ServiceError; and the next call is served.
import assert from "node:assert/strict";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEnvelope } from "../../codec/envelope.ts";
import { background, withTimeout, withValue } from "../../context/with.ts";
import { errorReporterKey } from "../../endpoint/report.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import { grpc } from "./server.ts";
import { TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

/** Bytes, and such as begin well. */
const bytes = fc.oneof(
  fc.constant(encodeEnvelope(0, new Uint8Array())),
  fc.uint8Array({ maxLength: 200 }),
  fc
    .tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(3), fc.uint8Array({ maxLength: 8 }))
    .map(([message, flags, rest]) => Buffer.concat([encodeEnvelope(flags, message), rest])),
);

test("gRPC-Web, in binary and in text: any body is answered with a status", async (t) => {
  const root = withValue(background(), errorReporterKey, () => {});
  const protocols = [grpc({ maxMessageBytes: 150 })];
  const listening = await http({ protocols }).listen([implement(TestContract, testService)], root);
  t.after(() => listening.close());
  const post = async (path: string, type: string, body: Uint8Array): Promise<string> => {
    const headers = { "content-type": type, "grpc-encoding": "gzip" };
    const url = `${listening.address}/grpc.testing.TestService/${path}`;
    const answer = await fetch(url, { method: "POST", headers, body: body as never });
    assert.equal(answer.status, 200);
    const text = await answer.text();
    return type.includes("-text") ? Buffer.from(text, "base64").toString("latin1") : text;
  };
  /** Base64, or what is nearly that. */
  const text = fc
    .tuple(bytes, fc.nat(400), fc.string({ unit: fc.constantFrom("=", "A", "/", "-", " ", "%"), maxLength: 3 }))
    .map(([body, at, junk]) => {
      const whole = Buffer.from(body).toString("base64");
      return Buffer.from(at > whole.length ? whole : whole.slice(0, at) + junk + whole.slice(at + junk.length));
    });
  const asked = fc.oneof(
    fc.tuple(fc.constant("application/grpc-web+proto"), bytes),
    fc.tuple(fc.constant("application/grpc-web+json"), bytes),
    fc.tuple(fc.constant("application/grpc-web-text"), fc.oneof(text, bytes)),
  );
  const path = fc.constantFrom("UnaryCall", "StreamingInputCall", "StreamingOutputCall");
  await fc.assert(
    fc.asyncProperty(path, asked, async (method, [type, body]) => {
      assert.match(await post(method, type, body), /grpc-status: (?:0|2|3|8|12)\r\n/);
    }),
    { numRuns: 400 },
  );
  const empty = encodeEnvelope(0, new Uint8Array());
  assert.match(await post("EmptyCall", "application/grpc-web+proto", empty), /grpc-status: 0\r\n/);
  assert.equal(listening.inFlight, 0);
});

test("any answer is a message or a ServiceError to the client", async (t) => {
  let answer: { head: Record<string, string>; body: Uint8Array; trailers: Record<string, string> };
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer().on("session", (session) => sessions.add(session));
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.resume();
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...answer.head }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(answer.trailers));
    stream.end(answer.body);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const options = { maxMessageBytes: 150 };
  const connection = grpcClient(options).connect(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await connection.close();
    server.close();
    for (const session of sessions) session.destroy();
  });
  const calls = stub(TestContract, (method) => connection.endpoint(method));
  const value = fc.stringMatching(/^[\x21-\x7e]{0,30}$/);
  const trailers = fc.record(
    {
      "grpc-status": fc.oneof(fc.constant("0"), fc.nat(20).map(String), value),
      "grpc-message": value,
      "grpc-status-details-bin": value,
      "grpc-retry-pushback-ms": value,
      "x-own": value,
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const head = fc.record(
    { "grpc-encoding": fc.constantFrom("gzip", "identity", "zstd"), "x-head": value },
    { requiredKeys: [], noNullPrototype: true },
  );
  let served = 0;
  await fc.assert(
    fc.asyncProperty(head, bytes, trailers, async (given, body, ending) => {
      answer = { head: given, body, trailers: ending };
      const ctx = withTimeout(background(), 5000);
      const stream = async (): Promise<void> => {
        for await (const _ of calls.streamingOutputCall(ctx, {})) continue;
      };
      for (const call of [() => calls.unaryCall(ctx, {}), stream]) {
        try {
          await call();
          served++;
        } catch (error) {
          assert.ok(error instanceof ServiceError, String(error));
          assert.equal(ctx.err, undefined, "it was told, not waited for");
        }
      }
      ctx.cancel();
    }),
    { numRuns: 400 },
  );
  assert.ok(served > 0);
  assert.equal(sessions.size, 1, "no answer cost the connection");
});
