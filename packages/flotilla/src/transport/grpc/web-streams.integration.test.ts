// Streams of gRPC-Web whose readers are slow, or go, and which fail: over HTTP/1.1 and HTTP/2, as text and binary.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:http2";
import type { Readable } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { encodeTextEnvelope } from "../../codec/envelope.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream } from "../../contract/method.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { implement } from "../../service/implement.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { nothingEscapes, serve } from "../http/test-fixtures/bed.ts";
import { grpc } from "./server.ts";

nothingEscapes();

const message = z.object({ n: z.number(), text: z.string() });
type Message = z.infer<typeof message>;
const Feed = contract("feed.v1.Feed", { many: serverStream({ input: message, output: message }) });
const MIB = 1024 * 1024;

async function bed(
  t: TestContext,
  many: (ctx: Context, request: Message) => AsyncIterable<Message>,
  maxMessageBytes = MIB,
) {
  const protocols = [grpc({ maxMessageBytes })];
  return serve(t, { protocols }, implement(Feed, { many }));
}

type Ask = (address: string, type: string, asked: Message, timeout?: string) => Promise<Readable>;

function headersOf(type: string, timeout: string | undefined): Record<string, string> {
  return { "content-type": type, ...(timeout !== undefined && { "grpc-timeout": timeout }) };
}

function bodyOf(type: string, asked: Message): Buffer | string {
  const frame = encodeTextEnvelope(0, JSON.stringify(asked));
  return type.includes("text") ? Buffer.from(frame).toString("base64") : Buffer.from(frame);
}

const overHttp1: Ask = async (address, type, asked, timeout) => {
  const req = request(`${address}/feed.v1.Feed/many`, {
    method: "POST",
    headers: headersOf(type, timeout),
    agent: false,
  });
  req.on("error", () => {});
  req.end(bodyOf(type, asked));
  const [res] = (await once(req, "response")) as [Readable];
  res.on("error", () => {});
  return res;
};

const overHttp2: Ask = async (address, type, asked, timeout) => {
  const session = connect(address);
  session.on("error", () => {});
  const headers = { ":method": "POST", ":path": "/feed.v1.Feed/many", ...headersOf(type, timeout) };
  const stream = session.request(headers);
  stream.on("error", () => {});
  stream.on("close", () => session.destroy());
  stream.end(bodyOf(type, asked));
  await once(stream, "response");
  return stream;
};

/** Reads to the end. @returns the messages, and the trailers. */
async function read(answer: Readable, type: string): Promise<{ messages: Message[]; trailers: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  let body = Buffer.concat(chunks);
  if (type.includes("text")) {
    const parts = body.toString("latin1").match(/[^=]+={0,2}/g) ?? [];
    body = Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
  }
  const messages: Message[] = [];
  let trailers = "";
  while (body.byteLength > 0) {
    const end = 5 + body.readUInt32BE(1);
    const text = body.toString("utf8", 5, end);
    assert.equal(trailers, "", "nothing comes after the trailers");
    if (body[0] === 0x80) trailers = text;
    else messages.push(JSON.parse(text) as Message);
    body = body.subarray(end);
  }
  return { messages, trailers };
}

const forms = [
  ["HTTP/1.1, as text", overHttp1, "application/grpc-web-text+json"],
  ["HTTP/2, binary", overHttp2, "application/grpc-web+json"],
] as const;

for (const [name, ask, type] of forms) {
  describe(`gRPC-Web over ${name}`, () => {
    test("a slow reader holds the handler up, and has every message and the end", async (t) => {
      const COUNT = 400;
      const text = "x".repeat(64 * 1024);
      let made = 0;
      const { address, listening } = await bed(t, async function* () {
        for (let n = 0; n < COUNT; n++) {
          made = n + 1;
          yield { n, text };
        }
      });
      const answer = await ask(address, type, { n: 0, text: "" });
      let [before, same] = [0, 0];
      await until("the handler stands still", () => {
        same = made === before ? same + 1 : 0;
        before = made;
        return same > 10;
      });
      assert.ok(made < COUNT, "all is buffered");
      const { messages, trailers } = await read(answer, type);
      assert.deepEqual(
        messages.map(({ n }) => n),
        Array.from({ length: COUNT }, (_, n) => n),
      );
      assert.match(trailers, /^grpc-status: 0\r\n/m);
      await until("no call is in flight", () => listening.inFlight === 0);
    });

    test("readers that go leave nothing behind", async (t) => {
      let [left, canceled] = [0, 0];
      const { address, listening } = await bed(t, async function* (ctx, { text }) {
        void afterFunc(ctx, () => canceled++);
        try {
          for (let n = 0; ctx.err === undefined; n++) {
            yield { n, text };
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          left++;
        }
      });
      // With large messages, the handler waits for the reader when that goes.
      const asked = Array.from({ length: 40 }, (_, n) =>
        ask(address, type, { n, text: "x".repeat(n % 2 ? 10 : 100_000) }),
      );
      for (const answer of await Promise.all(asked)) answer.destroy();
      await until("all handlers are left", () => left === 40 && canceled === 40);
      await until("nothing is left", () => listening.inFlight === 0 && listening.connections === 0);
    });

    test("a failure in the middle comes behind the messages; a deadline ends the call of a reader that does not read", async (t) => {
      const { address, listening } = await bed(t, async function* (ctx, { text }) {
        yield { n: 0, text };
        if (text === "") throw new ServiceError("data_loss", "in the middle: ü");
        for (let n = 1; ctx.err === undefined; n++) yield { n, text };
      });
      const failed = await read(await ask(address, type, { n: 0, text: "" }), type);
      assert.equal(failed.messages.length, 1);
      assert.match(failed.trailers, /^grpc-status: 15\r\ngrpc-message: in the middle: %C3%BC\r\n/m);
      const stuck = await ask(address, type, { n: 0, text: "x".repeat(500_000) }, "150m");
      await until("the call is over", () => listening.inFlight === 0);
      const { messages, trailers } = await read(stuck, type);
      assert.deepEqual(
        messages.map(({ n }) => n),
        Array.from(messages, (_, n) => n),
        "none is missing, none comes late",
      );
      assert.match(trailers, /^grpc-status: 4\r\n/m);
    });

    test("large messages arrive whole; one over the limit is refused as gRPC has it", async (t) => {
      const { address } = await bed(
        t,
        async function* (_ctx, asked) {
          yield asked;
        },
        4 * MIB,
      );
      const text = "ü€".repeat(700_000);
      const { messages, trailers } = await read(await ask(address, type, { n: 1, text }), type);
      assert.equal(messages[0]?.text, text);
      assert.match(trailers, /^grpc-status: 0\r\n/m);
      const refused = await read(await ask(address, type, { n: 1, text: "x".repeat(5 * MIB) }), type);
      assert.deepEqual(refused.messages, []);
      assert.match(refused.trailers, /^grpc-status: 8\r\n/m);
    });
  });
}
