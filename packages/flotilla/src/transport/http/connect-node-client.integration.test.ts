// Connect's own client for Node against Flotilla's server.
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import {
  type ConnectTransportOptions,
  compressionBrotli,
  compressionGzip,
  createConnectTransport,
} from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../test/gen/google/rpc/error_details_pb.ts";
import { Echo } from "../../../test/gen/test/v1/echo_pb.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import { codes } from "../../errors/code.ts";
import { implement } from "../../service/implement.ts";
import type { HttpServerOptions } from "./options.ts";
import { nothingEscapes, serve } from "./test-fixtures/bed.ts";
import { collect, nameOf, numbers, rejection, sentences } from "./test-fixtures/connect.ts";
import { EchoContract, EchoService, SERIAL } from "./test-fixtures/echo.ts";
import { done } from "./test-fixtures/freight.ts";

nothingEscapes();

interface Bed {
  readonly service: EchoService;
  readonly echo: Client<typeof Echo>;
  readonly finished: FinishedCall[];
}

type Flavour = Pick<ConnectTransportOptions, "httpVersion" | "useBinaryFormat">;
type Options = Partial<Omit<ConnectTransportOptions, "httpVersion" | "nodeOptions">>;

async function bed(t: TestContext, flavour: Flavour, client: Options = {}, server: HttpServerOptions = {}) {
  const service = new EchoService();
  const finished: FinishedCall[] = [];
  const hooks = { finalize: (_ctx: unknown, call: FinishedCall) => void finished.push(call) };
  const { address } = await serve(t, { ...server, hooks }, implement(EchoContract, service));
  const transport = createConnectTransport({ baseUrl: address, ...flavour, ...client });
  return { service, echo: createClient(Echo, transport), finished } satisfies Bed;
}

const flavours: readonly (Flavour & { readonly httpVersion: "1.1" | "2" })[] = [
  { httpVersion: "1.1", useBinaryFormat: true },
  { httpVersion: "1.1", useBinaryFormat: false },
  { httpVersion: "2", useBinaryFormat: true },
  { httpVersion: "2", useBinaryFormat: false },
];

for (const flavour of flavours) {
  const { httpVersion, useBinaryFormat } = flavour;
  describe(`connect-node's client over HTTP/${httpVersion} in ${useBinaryFormat ? "binary" : "JSON"}`, () => {
    test("unary, with every field as it was sent", async (t) => {
      const { echo, service } = await bed(t, flavour);
      const sentAt = timestampFromDate(new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678)));
      const answer = await echo.say({ sentence: "åäö→", times: 2, sentAt });
      assert.equal(answer.sentence, "åäö→åäö→");
      assert.equal(answer.serial, SERIAL);
      assert.deepEqual([...answer.digest], [0, 255, 128]);
      assert.deepEqual(answer.sentAt, sentAt);
      const type = useBinaryFormat ? "application/proto" : "application/json";
      assert.equal(service.call?.headers.get("content-type"), type);
    });

    test("an empty message", async (t) => {
      const { echo } = await bed(t, flavour);
      assert.equal((await echo.say({})).sentence, "");
      assert.deepEqual(await collect(echo.count({})), []);
      const { sum, count } = await echo.sum(numbers());
      assert.deepEqual([sum, count], [0n, 0]);
    });

    test("GET of a method without side effects", async (t) => {
      const { echo, service } = await bed(t, flavour, { useHttpGet: true });
      const { sentence } = await echo.say({ sentence: "& = ? %/+ å" }, { headers: { "x-ask": "get" } });
      assert.equal(sentence, "& = ? %/+ å");
      assert.equal(service.call?.headers.get("content-type"), undefined, "it was no POST");
      const error = await rejection(echo.say({ failWith: "not_found" }));
      assert.equal(nameOf(error.code), "not_found");
    });

    test("server stream", async (t) => {
      const { echo } = await bed(t, flavour);
      const answers = await collect(echo.count({ to: 300 }));
      assert.deepEqual(
        answers.map(({ number }) => number),
        Array.from({ length: 300 }, (_, index) => index + 1),
      );
    });

    test("client stream", async (t) => {
      const { echo } = await bed(t, flavour);
      const { sum, count } = await echo.sum(numbers(1, 2, 3, 2_000_000_000));
      assert.deepEqual([sum, count], [2_000_000_006n, 4]);
    });

    test("stream both ways", async (t) => {
      const { echo, finished } = await bed(t, flavour);
      if (httpVersion === "1.1") {
        // HTTP/1.1 has no answer while the request goes on. Connect's client makes a streaming error of the status alone.
        const error = await rejection(collect(echo.chat(sentences("a", "b"))));
        assert.deepEqual([nameOf(error.code), error.rawMessage], ["unknown", "HTTP 505"]);
        assert.deepEqual([finished[0]?.status, finished[0]?.code], [505, "unimplemented"]);
        return;
      }
      // Full duplex: each answer is awaited before the next sentence is sent.
      const heard: string[] = [];
      let answered = Promise.withResolvers<void>();
      const turns = async function* () {
        for (const sentence of ["one", "two", "three"]) {
          yield { sentence };
          await answered.promise;
          answered = Promise.withResolvers<void>();
        }
      };
      for await (const { sentence, number } of echo.chat(turns())) {
        heard.push(`${number} ${sentence}`);
        answered.resolve();
      }
      assert.deepEqual(heard, ["1 ONE", "2 TWO", "3 THREE"]);
    });

    for (const compression of [compressionGzip, compressionBrotli]) {
      test(`${compression.name} both ways`, async (t) => {
        const options = { sendCompression: compression, acceptCompression: [compression] };
        const { echo, service, finished } = await bed(t, flavour, options);
        const sentence = "flotilla ".repeat(20_000);
        let headers = new Headers();
        const answer = await echo.say({ sentence }, { onHeader: (received) => void (headers = received) });
        assert.equal(answer.sentence, sentence);
        assert.equal(service.call?.headers.get("content-encoding"), compression.name);
        assert.equal(headers.get("content-encoding"), compression.name);
        const { requestBytes, responseBytes } = finished.at(-1)!;
        assert.ok(requestBytes < 5_000 && responseBytes < 5_000, `${requestBytes} and ${responseBytes} bytes`);
        if (httpVersion === "1.1") return;
        const [said] = await collect(echo.chat(sentences(sentence)));
        assert.equal(said?.sentence, sentence.toUpperCase());
        assert.equal(service.call?.headers.get("connect-content-encoding"), compression.name);
        const stream = finished.at(-1)!;
        assert.ok(stream.requestBytes < 5_000 && stream.responseBytes < 5_000, `${stream.responseBytes} bytes`);
      });
    }

    test("headers and trailers, on a success and on an error, unary and streaming", async (t) => {
      const { echo } = await bed(t, flavour);
      let headers = new Headers();
      let trailers = new Headers();
      const options = {
        headers: { "x-ask": "again" },
        onHeader: (received: Headers) => void (headers = received),
        onTrailer: (received: Headers) => void (trailers = received),
      };
      const check = (name: string): void => {
        assert.equal(headers.get("x-reply"), "again", name);
        assert.equal(headers.get("x-many"), "one, two", name);
        assert.equal(trailers.get("x-after"), "again", name);
        assert.equal(headers.get("trailer-x-after"), null, name);
        headers = trailers = new Headers();
      };
      await echo.say({}, options);
      check("unary");
      await collect(echo.count({ to: 2 }, options));
      check("server stream");
      await echo.sum(numbers(1), options);
      check("client stream");
      for (const fail of [() => echo.say({ failWith: "aborted" }, options), () => echo.sum(numbers(-1), options)]) {
        const { metadata } = await rejection(fail());
        assert.equal(metadata.get("x-after"), "again");
        assert.equal(metadata.get("x-reason"), "asked");
      }
      const failed = await rejection(collect(echo.count({ to: 2, failAfter: 1 }, options)));
      assert.equal(failed.metadata.get("x-after"), "again");
      assert.equal(failed.metadata.get("x-reason"), "asked");
    });

    test("each of the sixteen codes, with message and details", async (t) => {
      const { echo } = await bed(t, flavour);
      for (const code of Object.keys(codes)) {
        const error = await rejection(echo.say({ failWith: code }));
        assert.equal(nameOf(error.code), code);
        assert.equal(error.rawMessage, `asked for ${code}`);
        const [info] = error.findDetails(ErrorInfoSchema);
        assert.deepEqual([info?.reason, info?.domain, info?.metadata], ["ASKED", "echo.example", { code }]);
      }
    });

    test("a stream that fails, after what it had sent", async (t) => {
      const { echo } = await bed(t, flavour);
      const got: number[] = [];
      const reading = (async () => {
        for await (const { number } of echo.count({ to: 10, failAfter: 3 })) got.push(number);
      })();
      const error = await rejection(reading);
      assert.deepEqual([nameOf(error.code), error.rawMessage], ["out_of_range", "asked for out_of_range"]);
      assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "ASKED");
      assert.deepEqual(got, [1, 2, 3]);
    });

    test("a deadline: the handler sees it, and either side ends the call by it", { timeout: 5000 }, async (t) => {
      const { echo, service } = await bed(t, flavour);
      await echo.say({}, { timeoutMs: 20_000 });
      const { deadline, clock } = service.ctx!;
      const left = deadline! - clock.now();
      assert.ok(left > 10_000 && left <= 20_000, `${left} ms`);
      const error = await rejection(echo.say({ failWith: "hang" }, { timeoutMs: 50 }));
      assert.equal(nameOf(error.code), "deadline_exceeded");
      await done(service.ctx!);
      // Connect's client knows nothing of this one: the answer is the server's.
      const headers = { "connect-timeout-ms": "50" };
      for (const hang of [
        () => echo.say({ failWith: "hang" }, { headers }),
        () => collect(echo.count({ to: 2, failAfter: -1 }, { headers })),
      ]) {
        const late = await rejection(hang());
        assert.equal(nameOf(late.code), "deadline_exceeded");
        assert.equal(service.ctx?.err?.code, "deadline_exceeded");
      }
    });

    test("a timeout header that is none", async (t) => {
      const { echo } = await bed(t, flavour);
      const headers = { "connect-timeout-ms": "soon" };
      assert.equal(nameOf((await rejection(echo.say({}, { headers }))).code), "invalid_argument");
      assert.equal(nameOf((await rejection(collect(echo.count({}, { headers })))).code), "invalid_argument");
    });

    test("a caller that cancels: the handler's context is done", { timeout: 5000 }, async (t) => {
      const { echo, service } = await bed(t, flavour);
      for (const hang of [
        (signal: AbortSignal) => echo.say({ failWith: "hang" }, { signal }),
        (signal: AbortSignal) => collect(echo.count({ to: 2, failAfter: -1 }, { signal })),
        (signal: AbortSignal) => echo.sum(endless(signal), { signal }),
      ]) {
        const controller = new AbortController();
        const arrived = service.arrival();
        const failing = rejection(hang(controller.signal));
        await arrived;
        const ctx = service.ctx!;
        controller.abort();
        assert.equal(nameOf((await failing).code), "canceled");
        await done(ctx);
        assert.equal(ctx.err?.code, "canceled");
      }
    });

    test("a caller that cancels in the middle of a long stream: its generator is left", {
      timeout: 5000,
    }, async (t) => {
      const { echo, service } = await bed(t, flavour);
      const controller = new AbortController();
      const reading = async () => {
        // Leaving the loop alone does not tell the server: Connect's client goes on holding the stream.
        for await (const { number } of echo.count({ to: 1_000_000 }, { signal: controller.signal })) {
          if (number === 3) controller.abort();
        }
      };
      assert.equal(nameOf((await rejection(reading())).code), "canceled");
      await done(service.ctx!);
      while (service.left === 0) await new Promise((resolve) => setImmediate(resolve));
    });

    test("messages over the server's limits", async (t) => {
      const { echo } = await bed(t, flavour, {}, { maxBodyBytes: 1000, maxMessageBytes: 1000 });
      const sentence = "x".repeat(2000);
      assert.equal(nameOf((await rejection(echo.say({ sentence }))).code), "resource_exhausted");
      if (httpVersion === "1.1") return;
      const error = await rejection(collect(echo.chat(sentences("a", sentence))));
      assert.equal(nameOf(error.code), "resource_exhausted");
    });
  });
}

/** One number, and then nothing until the caller gives up. */
async function* endless(signal: AbortSignal): AsyncGenerator<{ number: number }> {
  yield { number: 1 };
  await once(signal, "abort");
}
