// The official client of gRPC-Web in a real browser, on a page of another origin, in both forms: binary, and text, which is base64.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, type TestContext, test } from "node:test";
import type { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import type * as GrpcWeb from "grpc-web";
import { skipWithout } from "../../../../../scripts/servers.ts";
import type * as EchoSchemas from "../../../test/gen/test/v1/echo_pb.ts";
import { implement } from "../../service/implement.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { nothingEscapes, serve } from "../http/test-fixtures/bed.ts";
import { type Surfer, surf } from "../http/test-fixtures/browser.ts";
import { EchoContract, EchoService } from "../http/test-fixtures/echo.ts";
import { grpc } from "./server.ts";

declare global {
  var grpcWeb: typeof GrpcWeb;
  var pb: typeof EchoSchemas & {
    create: typeof create;
    toBinary: typeof toBinary;
    fromBinary: typeof fromBinary;
    toJson: typeof toJson;
  };
}

nothingEscapes();

const TIMEOUT = { timeout: 10_000 };
const PACKAGE = new URL("index.esm.js", import.meta.resolve("grpc-web"));
const SETUP = `
import * as protobuf from "@bufbuild/protobuf";
import * as echo from "/gen/test/v1/echo_pb.ts";
globalThis.grpcWeb = { GrpcWebClientBase, MethodDescriptor };
globalThis.pb = { ...protobuf, ...echo };`;

/** What the page is to do. */
interface Call {
  readonly address: string;
  readonly format: string;
  readonly method: "Say" | "Count";
  readonly request: Record<string, unknown>;
  readonly metadata?: Record<string, string>;
  /** Gives the call up after so many messages. */
  readonly cancelAfter?: number;
}

/** What it saw. */
interface Seen {
  readonly messages: unknown[];
  readonly headers: Record<string, string>;
  status?: { code: number; details: string; metadata?: Record<string, string> };
  error?: { code: number; message: string; metadata: Record<string, string> };
}

/** Runs in the page. */
function run({ address, format, method, request, metadata = {}, cancelAfter }: Call): Promise<Seen> {
  const { GrpcWebClientBase, MethodDescriptor } = grpcWeb;
  const { create, toBinary, fromBinary, toJson } = pb;
  const unary = method === "Say";
  const input = unary ? pb.SayRequestSchema : pb.CountRequestSchema;
  const output = unary ? pb.SayResponseSchema : pb.CountResponseSchema;
  const descriptor = new MethodDescriptor<unknown, unknown>(
    `/test.v1.Echo/${method}`,
    unary ? "unary" : "server_streaming",
    Object,
    Object,
    (message: never) => toBinary(input, message),
    (bytes: Uint8Array) => toJson(output, fromBinary(output, bytes)),
  );
  const client = new GrpcWebClientBase({ format });
  const url = `${address}/test.v1.Echo/${method}`;
  const message = create(input, request as never);
  const seen: Seen = { messages: [], headers: {} };
  return new Promise((resolve) => {
    const failed = ({ code, message: why, metadata: trailers }: GrpcWeb.RpcError): void => {
      seen.error = { code, message: why, metadata: trailers };
    };
    const stream = unary
      ? client.rpcCall(url, message, metadata, descriptor, (error, response) => {
          if (error) failed(error);
          else seen.messages.push(response);
          // The status is told behind it.
          setTimeout(() => resolve(seen));
        })
      : client.serverStreaming(url, message, metadata, descriptor);
    stream.on("metadata", (headers) => void Object.assign(seen.headers, headers));
    stream.on("status", ({ code, details, metadata: trailers }) => {
      seen.status = { code, details, ...(trailers !== undefined && { metadata: trailers }) };
    });
    if (unary) return;
    stream.on("data", (response) => {
      if (seen.messages.push(response) !== cancelAfter) return;
      stream.cancel();
      resolve(seen);
    });
    stream.on("error", (error) => {
      failed(error);
      setTimeout(() => resolve(seen));
    });
    stream.on("end", () => setTimeout(() => resolve(seen)));
  });
}

describe("grpc-web in Chromium", { skip: await skipWithout("chromium") }, () => {
  let surfer: Surfer;
  before(async () => {
    surfer = await surf();
    await surfer.page.addScriptTag({ type: "module", content: (await readFile(PACKAGE, "utf8")) + SETUP });
    await surfer.page.waitForFunction(() => "pb" in globalThis);
  });
  after(() => surfer[Symbol.asyncDispose]());

  async function bed(t: TestContext, format: string) {
    const service = new EchoService();
    const { address, listening } = await serve(
      t,
      { protocols: [grpc()], cors: { origins: [surfer.origin], allowHeaders: ["x-ask"], exposeHeaders: ["x-reply"] } },
      implement(EchoContract, service),
    );
    const call = (method: Call["method"], request: Call["request"], rest: Partial<Call> = {}): Promise<Seen> =>
      surfer.page.evaluate(run, { address, format, method, request, ...rest });
    return { service, listening, call };
  }

  for (const format of ["binary", "text"]) {
    test(`unary, ${format}`, TIMEOUT, async (t) => {
      const { call, service } = await bed(t, format);
      const { messages, headers, status, error } = await call(
        "Say",
        { sentence: "åäö→", times: 2 },
        { metadata: { "x-ask": "a" } },
      );
      assert.equal(error, undefined);
      assert.deepEqual(messages, [{ sentence: "åäö→åäö→", serial: "1152921504606846977", digest: "AP+A" }]);
      assert.equal(headers["x-reply"], "a");
      assert.equal(status?.code, 0);
      const type = format === "text" ? "application/grpc-web-text" : "application/grpc-web+proto";
      assert.equal(service.call!.headers.get("content-type"), type);
      assert.equal(service.call!.headers.get("origin"), surfer.origin);
    });

    test(`unary with messages of all lengths, and one that comes in pieces, ${format}`, TIMEOUT, async (t) => {
      const { call } = await bed(t, format);
      for (const times of [0, 1, 2, 3, 4, 100_000]) {
        const { messages } = await call("Say", { sentence: "abc".slice(times % 3), times: times || 1 });
        const [{ sentence }] = messages as [{ sentence?: string }];
        assert.equal((sentence ?? "").length, "abc".slice(times % 3).length * (times || 1));
      }
    });

    test(`an error with its metadata and details, ${format}`, TIMEOUT, async (t) => {
      const { call } = await bed(t, format);
      const { error, messages } = await call("Say", { failWith: "not_found" });
      assert.deepEqual([error?.code, error?.message, messages], [5, "asked for not_found", []]);
      assert.equal(error?.metadata["x-reason"], "asked");
      assert.ok(Buffer.from(error.metadata["grpc-status-details-bin"]!, "base64").includes("google.rpc.ErrorInfo"));
    });

    test(`the caller's deadline, ${format}`, TIMEOUT, async (t) => {
      const { call, service, listening } = await bed(t, format);
      const { error } = await call("Say", { failWith: "hang" }, { metadata: { deadline: String(Date.now() + 200) } });
      assert.equal(error?.code, 4);
      assert.ok(service.ctx!.deadline !== undefined);
      await until("no call is in flight", () => listening.inFlight === 0);
    });

    test(`a stream of the server's, ${format}`, TIMEOUT, async (t) => {
      const { call, service } = await bed(t, format);
      const { messages, status, error, headers } = await call("Count", { to: 500 }, { metadata: { "x-ask": "a" } });
      assert.deepEqual([error, status?.code, headers["x-reply"]], [undefined, 0, "a"]);
      assert.deepEqual(
        messages,
        Array.from({ length: 500 }, (_, i) => ({ number: i + 1 })),
      );
      assert.equal(service.left, 1);
    });

    test(`a stream that is empty, and one that fails behind its messages, ${format}`, TIMEOUT, async (t) => {
      const { call } = await bed(t, format);
      const empty = await call("Count", { to: 0 });
      assert.deepEqual([empty.messages, empty.error, empty.status?.code], [[], undefined, 0]);
      const broken = await call("Count", { to: 5, failAfter: 2 });
      assert.deepEqual(broken.messages, [{ number: 1 }, { number: 2 }]);
      assert.deepEqual([broken.error?.code, broken.error?.message], [11, "asked for out_of_range"]);
      assert.equal(broken.error?.metadata["x-reason"], "asked");
    });
  }

  test(
    "in text a message is there before the stream ends, and leaving the stream ends the handler",
    TIMEOUT,
    async (t) => {
      const { call, service, listening } = await bed(t, "text");
      const { messages } = await call("Count", { to: 2, failAfter: -1 }, { cancelAfter: 1 });
      assert.deepEqual(messages, [{ number: 1 }]);
      await until("the handler has been left", () => service.left === 1);
      assert.equal(service.ctx!.err?.code, "canceled");
      await until("no call is in flight", () => listening.inFlight === 0);
    },
  );
});
