// Flotilla's client against Connect's own server for Node.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ConnectNodeAdapterOptions, compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../test/gen/google/rpc/error_details_pb.ts";
import type { Context } from "../../context/context.ts";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import { findProtobufDetail } from "../../contract/protobuf/detail.ts";
import { codes } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { withHeaders, withResponseObserver } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { stub } from "../../service/stub.ts";
import { httpClient } from "./client.ts";
import type { HttpClientOptions } from "./client-options.ts";
import { nothingEscapes } from "./test-fixtures/bed.ts";
import { collect, numbers, sentences } from "./test-fixtures/connect.ts";
import { EchoContract, SERIAL } from "./test-fixtures/echo.ts";
import { aborted, servePeer } from "./test-fixtures/echo-peer.ts";

nothingEscapes();

const ctx = background();

async function bed(
  t: TestContext,
  flavour: HttpClientOptions,
  options: HttpClientOptions = {},
  server: Omit<ConnectNodeAdapterOptions, "routes"> = {},
) {
  const { peer, address } = await servePeer(t, flavour.http2 === true, server);
  const connection = httpClient({ ...flavour, ...options }).connect(address);
  t.after(() => connection.close());
  return { peer, echo: stub(EchoContract, (method) => connection.endpoint(method)) };
}

async function failure(work: Promise<unknown>): Promise<ServiceError> {
  const error = await work.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

const flavours: Readonly<Record<string, HttpClientOptions>> = {
  "HTTP/1.1 in binary": { http2: false, format: "proto" },
  "HTTP/1.1 in JSON": { http2: false, format: "json" },
  "HTTP/2 in binary": { http2: true, format: "proto" },
  "HTTP/2 in JSON": { http2: true, format: "json" },
};

for (const [name, flavour] of Object.entries(flavours)) {
  describe(`connect-node's server over ${name}`, () => {
    test("unary, with every field as it was sent", async (t) => {
      const { echo, peer } = await bed(t, flavour);
      const sentAt = timestampFromDate(new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678)));
      const answer = await echo.say(ctx, { sentence: "åäö→", times: 2, sentAt });
      assert.equal(answer.sentence, "åäö→åäö→");
      assert.equal(answer.serial, SERIAL);
      assert.deepEqual([...answer.digest], [0, 255, 128]);
      assert.deepEqual(answer.sentAt, sentAt);
      const type = flavour.format === "proto" ? "application/proto" : "application/json";
      assert.equal(peer.context?.requestHeader.get("content-type"), type);
    });

    test("a server that insists on the protocol version", async (t) => {
      const { echo } = await bed(t, flavour, {}, { requireConnectProtocolHeader: true });
      assert.equal((await echo.say(ctx, { sentence: "a" })).sentence, "a");
      assert.deepEqual((await collect(echo.count(ctx, { to: 1 }))).length, 1);
    });

    test("an empty message", async (t) => {
      const { echo } = await bed(t, flavour);
      assert.equal((await echo.say(ctx, {})).sentence, "");
      assert.deepEqual(await collect(echo.count(ctx, {})), []);
      const { sum, count } = await echo.sum(ctx, numbers());
      assert.deepEqual([sum, count], [0n, 0]);
    });

    test("GET of a method without side effects", async (t) => {
      const { echo, peer } = await bed(t, flavour, { get: true }, { requireConnectProtocolHeader: true });
      const { sentence } = await echo.say(ctx, { sentence: "& = ? %/+ å" });
      assert.equal(sentence, "& = ? %/+ å");
      assert.equal(peer.context?.requestMethod, "GET");
      assert.equal((await failure(echo.say(ctx, { failWith: "not_found" }))).code, "not_found");
    });

    test("server stream", async (t) => {
      const { echo } = await bed(t, flavour);
      const answers = await collect(echo.count(ctx, { to: 300 }));
      assert.deepEqual(
        answers.map(({ number }) => number),
        Array.from({ length: 300 }, (_, index) => index + 1),
      );
    });

    test("client stream", async (t) => {
      const { echo } = await bed(t, flavour);
      const { sum, count } = await echo.sum(ctx, numbers(1, 2, 3, 2_000_000_000));
      assert.deepEqual([sum, count], [2_000_000_006n, 4]);
    });

    test("stream both ways", async (t) => {
      const { echo } = await bed(t, flavour);
      if (!flavour.http2) {
        const error = await failure(collect(echo.chat(ctx, sentences("a"))));
        assert.equal(error.code, "unimplemented");
        assert.match(error.message, /http2: true/);
        return;
      }
      const heard: string[] = [];
      let answered = Promise.withResolvers<void>();
      const turns = async function* () {
        for (const sentence of ["one", "two", "three"]) {
          yield { sentence };
          await answered.promise;
          answered = Promise.withResolvers<void>();
        }
      };
      for await (const { sentence, number } of echo.chat(ctx, turns())) {
        heard.push(`${number} ${sentence}`);
        answered.resolve();
      }
      assert.deepEqual(heard, ["1 ONE", "2 TWO", "3 THREE"]);
    });

    for (const compression of [compressionGzip, compressionBrotli]) {
      const encoding = compression.name as "gzip" | "br";
      test(`${encoding} both ways`, async (t) => {
        const { echo, peer } = await bed(t, flavour, { compress: encoding }, { acceptCompression: [compression] });
        const sentence = "flotilla ".repeat(20_000);
        let headers = new Metadata();
        const watched = withResponseObserver(ctx, (received) => void (headers = received));
        assert.equal((await echo.say(watched, { sentence })).sentence, sentence);
        assert.equal(peer.context?.requestHeader.get("content-encoding"), encoding);
        assert.equal(headers.get("content-encoding"), encoding);
        if (!flavour.http2) return;
        const [said] = await collect(echo.chat(watched, sentences(sentence)));
        assert.equal(said?.sentence, sentence.toUpperCase());
        assert.equal(peer.context?.requestHeader.get("connect-content-encoding"), encoding);
        assert.equal(headers.get("connect-content-encoding"), encoding);
      });

      test(`a server without ${encoding} says so`, async (t) => {
        const { echo } = await bed(t, flavour, { compress: encoding }, { acceptCompression: [] });
        const error = await failure(echo.say(ctx, { sentence: "x".repeat(5000) }));
        assert.equal(error.code, "unimplemented");
      });
    }

    test("headers and trailers, on a success and on an error, unary and streaming", async (t) => {
      const { echo } = await bed(t, flavour);
      let seen: [Metadata, Metadata] | undefined;
      const asking = withResponseObserver(withHeaders(ctx, { "x-ask": "again" }), (headers, trailers) => {
        seen = [headers, trailers];
      });
      const check = (what: string): void => {
        const [headers, trailers] = seen!;
        assert.equal(headers.get("x-reply"), "again", what);
        assert.equal(headers.get("x-many"), "one, two", what);
        assert.equal(trailers.get("x-after"), "again", what);
        assert.equal(headers.get("trailer-x-after"), undefined, what);
        seen = undefined;
      };
      await echo.say(asking, {});
      check("unary");
      await collect(echo.count(asking, { to: 2 }));
      check("server stream");
      await echo.sum(asking, numbers(1));
      check("client stream");
      for (const fail of [
        () => echo.say(asking, { failWith: "aborted" }),
        () => echo.sum(asking, numbers(-1)),
        () => collect(echo.count(asking, { to: 2, failAfter: 1 })),
      ]) {
        const { metadata } = await failure(fail());
        assert.equal(metadata?.["x-after"], "again");
        assert.equal(metadata?.["x-reason"], "asked");
        assert.equal(metadata?.["content-type"], undefined);
      }
    });

    test("each of the sixteen codes, with message and details", async (t) => {
      const { echo } = await bed(t, flavour);
      for (const code of Object.keys(codes)) {
        const error = await failure(echo.say(ctx, { failWith: code }));
        assert.equal(error.code, code);
        assert.equal(error.message, `asked for ${code}`);
        const info = findProtobufDetail(error, ErrorInfoSchema);
        assert.deepEqual([info?.reason, info?.domain, info?.metadata], ["ASKED", "echo.example", { code }]);
      }
    });

    test("a stream that fails, after what it had sent", async (t) => {
      const { echo } = await bed(t, flavour);
      const got: number[] = [];
      const reading = async () => {
        for await (const { number } of echo.count(ctx, { to: 10, failAfter: 3 })) got.push(number);
      };
      const error = await failure(reading());
      assert.deepEqual([error.code, error.message], ["out_of_range", "asked for out_of_range"]);
      assert.equal(findProtobufDetail(error, ErrorInfoSchema)?.reason, "ASKED");
      assert.deepEqual(got, [1, 2, 3]);
    });

    test("a server that fails a client stream early: the caller's iterator is left", { timeout: 5000 }, async (t) => {
      const { echo } = await bed(t, flavour);
      const left = Promise.withResolvers<void>();
      const sending = async function* () {
        try {
          for (let number = -1; ; number--) {
            yield { number };
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          left.resolve();
        }
      };
      const error = await failure(echo.sum(ctx, sending()));
      assert.deepEqual([error.code, error.message], ["invalid_argument", "asked for invalid_argument"]);
      await left.promise;
    });

    test("a deadline: the server is told, and the call ends by it", { timeout: 5000 }, async (t) => {
      const { echo, peer } = await bed(t, flavour);
      await echo.say(withTimeout(ctx, 60_000), {});
      const left = Number(peer.context?.requestHeader.get("connect-timeout-ms"));
      assert.ok(left > 50_000 && left <= 60_000, `${left} ms`);
      for (const hang of [
        (short: Context) => echo.say(short, { failWith: "hang" }),
        (short: Context) => collect(echo.count(short, { to: 2, failAfter: -1 })),
      ]) {
        assert.equal((await failure(hang(withTimeout(ctx, 50)))).code, "deadline_exceeded");
        await aborted(peer.context!.signal);
        // The caller has no deadline of its own: the answer is the server's.
        const header = withHeaders(ctx, { "connect-timeout-ms": "50" });
        assert.equal((await failure(hang(header))).code, "deadline_exceeded");
      }
    });

    test("a caller that cancels: the server hears of it", { timeout: 5000 }, async (t) => {
      const { echo, peer } = await bed(t, flavour);
      for (const hang of [
        (child: Context) => echo.say(child, { failWith: "hang" }),
        (child: Context) => collect(echo.count(child, { to: 2, failAfter: -1 })),
        (child: Context) => echo.sum(child, endless(child)),
      ]) {
        const child = withCancel(ctx);
        const arrived = peer.arrival();
        const failing = failure(hang(child));
        await arrived;
        const { signal } = peer.context!;
        child.cancel();
        assert.equal((await failing).code, "canceled");
        await aborted(signal);
      }
    });

    test("a caller that leaves a stream early: the server hears of it", { timeout: 5000 }, async (t) => {
      const { echo, peer } = await bed(t, flavour);
      // Connect's server prints that it could not write on.
      t.mock.method(console, "error", () => {});
      for await (const { number } of echo.count(ctx, { to: 1_000_000 })) if (number === 3) break;
      await aborted(peer.context!.signal);
    });
  });
}

/** One number, and then nothing until the caller gives up. */
async function* endless(child: Context): AsyncGenerator<{ number: number }> {
  yield { number: 1 };
  await aborted(child.signal);
}
