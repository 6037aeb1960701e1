import assert from "node:assert/strict";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { test } from "node:test";
import type { HttpProtocol, MountedProtocol } from "../../endpoint/http-protocol.ts";
import { nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";
import { certificate } from "./test-fixtures/certificate.ts";

nothingEscapes();

/** Answers what has a content-type of its own; notes what it was offered. */
class Toy implements HttpProtocol {
  readonly name = "toy";
  readonly corsHeaders = { request: ["x-toy"], response: ["x-toy-answer"] };
  readonly asked: string[] = [];
  readonly told: string[] = [];
  inFlight = 0;
  release: (() => void) | undefined;
  readonly #streams: boolean;

  constructor(streams: boolean) {
    this.#streams = streams;
  }

  mount(): MountedProtocol {
    const toy = this;
    const { asked, told } = toy;
    const stream: MountedProtocol["stream"] = (http2, headers, _flags, rawHeaders) => {
      asked.push("stream");
      if (headers["content-type"] !== "application/toy") return false;
      assert.equal(rawHeaders[rawHeaders.indexOf("content-type") + 1], "application/toy");
      http2.respond({ ":status": 200 });
      http2.end("toy by stream");
      return true;
    };
    return {
      ...(this.#streams && { stream }),
      request(req, res) {
        asked.push("request");
        if (req.headers["content-type"] !== "application/toy") return false;
        res.end("toy by request");
        return true;
      },
      get inFlight() {
        return toy.inFlight;
      },
      discourage: () => void told.push("discourage"),
      drain() {
        told.push("drain");
        if (toy.inFlight === 0) return Promise.resolve();
        return new Promise((resolve) => {
          toy.release = resolve;
        });
      },
      async close() {
        told.push("close");
      },
    };
  }
}

async function post(address: string, contentType: string): Promise<{ status: number; text: string }> {
  const session = connect(address, { rejectUnauthorized: false });
  try {
    const stream = session.request({ ":method": "POST", ":path": "/test.v1.Freight/sum", "content-type": contentType });
    stream.end("{}");
    let status = 0;
    stream.on("response", (headers: IncomingHttpHeaders) => {
      status = Number(headers[":status"]);
    });
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk as string;
    return { status, text };
  } finally {
    session.close();
  }
}

for (const tls of [false, true]) {
  const scheme = tls ? "TLS" : "clear text";
  test(`a further protocol gets what is its own, the listener the rest: ${scheme}`, async (t) => {
    for (const streams of [true, false]) {
      const toy = new Toy(streams);
      const secret = tls ? { tls: await certificate() } : {};
      const { address } = await serveFreight(t, { ...secret, protocols: [toy] });
      assert.equal((await post(address, "application/toy")).text, streams ? "toy by stream" : "toy by request");
      const other = await post(address, "application/json");
      assert.equal(other.status, 400, other.text);
      assert.deepEqual(toy.asked, streams ? ["stream", "stream", "request"] : ["request", "request"]);
    }
  });
}

test("over HTTP/1.1 too", async (t) => {
  const toy = new Toy(true);
  const { address } = await serveFreight(t, { protocols: [toy] });
  const send = (type: string): Promise<Response> =>
    fetch(`${address}/test.v1.Freight/sum`, { method: "POST", headers: { "content-type": type }, body: "{}" });
  assert.equal(await (await send("application/toy")).text(), "toy by request");
  assert.equal((await send("application/json")).status, 400);
});

test("its calls count, are told of the end, and waited for", async (t) => {
  const toy = new Toy(true);
  const { listening } = await serveFreight(t, { protocols: [toy] });
  assert.equal(listening.inFlight, 0);
  toy.inFlight = 1;
  assert.equal(listening.inFlight, 1);
  let drained = false;
  const draining = listening.drain().then(() => {
    drained = true;
  });
  while (toy.release === undefined) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(drained, false);
  toy.inFlight = 0;
  toy.release();
  await draining;
  await listening.close();
  assert.deepEqual(toy.told, ["discourage", "drain", "close"]);
});

test("pages of other origins may send and read its headers", async (t) => {
  const { address } = await serveFreight(t, { protocols: [new Toy(true)], cors: { origins: "*" } });
  const url = `${address}/test.v1.Freight/sum`;
  const origin = "https://app.example";
  const preflight = await fetch(url, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST" },
  });
  assert.match(preflight.headers.get("access-control-allow-headers")!, /\bx-toy\b/);
  const answer = await fetch(url, {
    method: "POST",
    headers: { origin, "content-type": "application/json" },
    body: "{}",
  });
  assert.match(answer.headers.get("access-control-expose-headers")!, /\bx-toy-answer\b/);
});

test("no protocol is spoken twice", async (t) => {
  await assert.rejects(
    async () => serveFreight(t, { protocols: [new Toy(true), new Toy(true)] }),
    /http: protocols has toy more than once/,
  );
});
