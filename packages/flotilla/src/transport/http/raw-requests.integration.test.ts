import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import fc from "fast-check";
import { encodeEnvelope } from "../../codec/envelope.ts";
import type { Endpoint, Middleware } from "../../endpoint/endpoint.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { nothingEscapes, type Served, serveFreight } from "./test-fixtures/bed.ts";
import { post, type RawAnswer, RawConnection } from "./test-fixtures/raw.ts";

nothingEscapes();

async function open(t: TestContext, { port }: Served): Promise<RawConnection> {
  const connection = await RawConnection.open(port);
  t.after(() => connection.destroy());
  return connection;
}

/** Sends bytes over a connection of its own and gives the first answer. */
async function exchange(t: TestContext, served: Served, data: string | Uint8Array): Promise<RawAnswer | undefined> {
  const connection = await open(t, served);
  connection.send(data);
  const answer = await connection.answer();
  connection.destroy();
  return answer;
}

function errorOf(answer: RawAnswer | undefined): { code: string; message: string } {
  assert.ok(answer !== undefined, "an answer, not a cut connection");
  return JSON.parse(answer.body) as { code: string; message: string };
}

async function stillServes(t: TestContext, served: Served): Promise<void> {
  const answer = await exchange(t, served, post("sum", { a: 1, b: 2 }));
  assert.deepEqual([answer?.status, answer?.body], [200, '{"v":3}']);
}

describe("requests that are framed wrongly are refused, and their connection closed", () => {
  const body = '{"a":1,"b":2}';
  const head = "content-type: application/json\r\n";
  const length = `content-length: ${body.length}\r\n`;
  const line = "POST /test.v1.Freight/sum HTTP/1.1\r\n";
  const cases: Record<string, string> = {
    "no version": "POST /test.v1.Freight/sum\r\nhost: a\r\n\r\n",
    "a version that there is not": `POST /test.v1.Freight/sum HTTP/9.9\r\nhost: a\r\n${head}${length}\r\n${body}`,
    "no host": `${line}${head}${length}\r\n${body}`,
    "two hosts": `${line}host: a\r\nhost: b\r\n${head}${length}\r\n${body}`,
    "two hosts that agree": `${line}host: a\r\nhost: a\r\n${head}${length}\r\n${body}`,
    "HTTP/1.0 with Transfer-Encoding": `POST /test.v1.Freight/sum HTTP/1.0\r\nhost: a\r\n${head}transfer-encoding: chunked\r\n\r\nd\r\n${body}\r\n0\r\n\r\n`,
    "both lengths": `${line}host: a\r\n${head}${length}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    "two lengths": `${line}host: a\r\n${head}${length}content-length: 1\r\n\r\n${body}`,
    "a length that is no number": `${line}host: a\r\n${head}content-length: 0x0d\r\n\r\n${body}`,
    "a negative length": `${line}host: a\r\n${head}content-length: -1\r\n\r\n${body}`,
    "chunked not last": `${line}host: a\r\n${head}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    "a chunk size that is no number": `${line}host: a\r\n${head}transfer-encoding: chunked\r\n\r\nxyz\r\n`,
    "a bare line feed in a header": `${line}host: a\nx: y\r\n${head}${length}\r\n${body}`,
    "a space before the colon": `${line}host : a\r\n${head}${length}\r\n${body}`,
    "a folded header": `${line}host: a\r\nx: 1\r\n 2\r\n${head}${length}\r\n${body}`,
    "a NUL in a header": `${line}host: a\r\nx: \u0000\r\n${head}${length}\r\n${body}`,
    "a method that there is not": `FROB /test.v1.Freight/sum HTTP/1.1\r\nhost: a\r\n\r\n`,
    garbage: "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n",
  };
  for (const [name, request] of Object.entries(cases)) {
    test(name, async (t) => {
      const served = await serveFreight(t);
      const connection = await open(t, served);
      connection.send(Buffer.from(request, "latin1"));
      // What follows must not be taken for a request of its own.
      connection.send(post("echo", { text: "smuggled" }));
      const answer = await connection.answer();
      if (answer !== undefined) assert.equal(answer.status, 400);
      await connection.gone;
      assert.ok(!connection.pending.includes("smuggled"), connection.pending);
      assert.ok(!answer?.body.includes("smuggled"));
      await stillServes(t, served);
    });
  }

  test("headers over the limit are 431", async (t) => {
    const served = await serveFreight(t, { maxHeaderBytes: 2048 });
    const answer = await exchange(t, served, post("sum", { a: 1, b: 2 }, { "x-long": "x".repeat(4096) }));
    assert.equal(answer?.status, 431);
    await stillServes(t, served);
  });
});

describe("bodies", () => {
  test("that are not UTF-8 are refused, and not stored with something else in their place", async (t) => {
    const served = await serveFreight(t);
    const body = Buffer.from('{"text":"caf\u00e9"}', "latin1");
    const ask = (path: string, type: string, bytes: Buffer) =>
      fetch(`${served.address}${path}`, {
        method: "POST",
        headers: { "content-type": type },
        body: new Uint8Array(bytes),
      });
    const connect = await ask("/test.v1.Freight/echo", "application/json", body);
    assert.deepEqual([connect.status, ((await connect.json()) as { code: string }).code], [400, "invalid_argument"]);
    const rest = await ask("/cargos/express", "application/json; charset=latin1", body);
    const { detail } = (await rest.json()) as { detail: string };
    assert.deepEqual([rest.status, detail], [400, "the message is not valid UTF-8, as JSON is"]);
    const stream = await ask("/test.v1.Freight/total", "application/connect+json", encodeEnvelope(0, body));
    assert.match(await stream.text(), /not valid UTF-8/);
  });

  test("over the limit are refused: announced, sent in chunks, or unpacked", async (t) => {
    const served = await serveFreight(t, { maxBodyBytes: 1000 });
    const long = JSON.stringify({ text: "x".repeat(2000) });
    const announced = await exchange(t, served, post("echo", long));
    const chunked = post("echo", "", { "transfer-encoding": "chunked" }).replace("content-length: 0\r\n", "");
    const chunks = await exchange(t, served, `${chunked}${long.length.toString(16)}\r\n${long}\r\n0\r\n\r\n`);
    for (const answer of [announced, chunks]) {
      assert.equal(answer?.status, 429);
      assert.match(errorOf(answer).message, /over the limit of 1000 bytes/);
      assert.equal(errorOf(answer).code, "resource_exhausted");
    }
    const roomy = await serveFreight(t, { maxBodyBytes: 100_000 });
    for (const [encoding, pack] of [
      ["gzip", gzipSync],
      ["br", (data: Buffer) => brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })],
    ] as const) {
      // Legal as it came, far over the limit once unpacked.
      const bomb = pack(Buffer.alloc(50_000_000, 32));
      assert.ok(bomb.length < 100_000);
      const request = post("echo", "", { "content-encoding": encoding, "content-length": String(bomb.length) });
      const before = process.memoryUsage().arrayBuffers;
      const answer = await exchange(t, roomy, Buffer.concat([Buffer.from(request), bomb]));
      assert.equal(errorOf(answer).code, "resource_exhausted", answer?.body);
      assert.ok(process.memoryUsage().arrayBuffers - before < 20_000_000);
    }
    await stillServes(t, served);
  });

  test("an answer ahead of a long request says that the connection ends, so that no other request is lost with it", async (t) => {
    const served = await serveFreight(t, { maxBodyBytes: 1000 });
    const chunked = post("echo", "", { "transfer-encoding": "chunked" }).replace("content-length: 0\r\n", "");
    for (const [request, ends] of [
      [post("echo", "", { "content-length": "5000000" }), true],
      [`${chunked}800\r\n${"x".repeat(2048)}\r\n`, true],
      [post("echo", "x".repeat(2048)), false],
    ] as const) {
      const answer = await exchange(t, served, request);
      assert.equal(answer?.status, 429);
      assert.equal(answer?.headers.get("connection") === "close", ends, request.slice(0, 200));
    }
  });

  test("what cannot be read is invalid_argument, saying why", async (t) => {
    const served = await serveFreight(t);
    for (const [body, why, headers] of [
      ["", /JSON/, {}],
      ["{", /JSON/, {}],
      ['{"a":1,"b":2} x', /JSON/, {}],
      ['{"a":1,"b":2,"__proto__":{"x":1}}', /__proto__/, {}],
      ["[".repeat(100_000), /JSON|deep/, {}],
      ['{"a":"1","b":2}', /a: /, {}],
      ["not gzip", /gzip/, { "content-encoding": "gzip" }],
    ] as const) {
      const answer = await exchange(t, served, post("sum", body, headers));
      assert.equal(answer?.status, 400, body.slice(0, 40));
      assert.equal(errorOf(answer).code, "invalid_argument");
      assert.match(errorOf(answer).message, why);
    }
    assert.equal(({} as Record<string, unknown>)["x"], undefined);
    await stillServes(t, served);
  });

  test("an encoding or a type that is not known is named, with those that are", async (t) => {
    const served = await serveFreight(t);
    const encoding = await exchange(t, served, post("sum", {}, { "content-encoding": "zstd" }));
    assert.equal(errorOf(encoding).code, "unimplemented");
    assert.match(errorOf(encoding).message, /gzip, br/);
    const type = await exchange(t, served, post("sum", {}, { "content-type": "text/xml" }));
    assert.equal(type?.status, 415);
    assert.match(errorOf(type).message, /application\/json/);
  });

  test("a body that never comes is cut at the deadline; one that stops halfway when the client goes", async (t) => {
    const served = await serveFreight(t, { timeoutMs: 100 });
    const answer = await exchange(t, served, post("echo", "", { "content-length": "10" }));
    assert.equal(errorOf(answer).code, "deadline_exceeded");
    const half = await open(t, served);
    half.send(post("echo", "", { "content-length": "10" }));
    half.send("12345");
    half.socket.end();
    await half.gone;
    await stillServes(t, served);
    assert.equal(served.listening.inFlight, 0);
  });
});

for (const path of ["test.v1.Freight/echo", "none"]) {
  test(`who sends more than is read has its answer all the same, and no reset, on a connection for one request: ${path}`, async (t) => {
    const served = await serveFreight(t, { maxBodyBytes: 1000 });
    const connection = await open(t, served);
    const errors: Error[] = [];
    connection.socket.on("error", (error) => errors.push(error));
    const size = 2_000_000;
    const head = { "content-length": String(size), connection: "close" };
    connection.send(post("echo", "", head).replace("test.v1.Freight/echo", path));
    const answer = await connection.answer();
    assert.equal(answer?.status, path === "none" ? 404 : 429);
    assert.equal(answer.headers.get("connection"), "close");
    // The client has not read it yet, and goes on.
    for (let sent = 0; sent < size; sent += 20_000) {
      if (!connection.send("x".repeat(20_000))) await once(connection.socket, "drain");
    }
    await connection.gone;
    assert.deepEqual(errors, []);
  });
}

describe("hostile metadata never loses the request", () => {
  const hostile = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)), maxLength: 600 }),
    fc.constantFrom(
      "",
      "00",
      "00-0-0-0",
      `00-${"0".repeat(32)}-${"0".repeat(16)}-01`,
      "ff".repeat(300),
      "=,=,=;;",
      "%%%",
    ),
  );
  test("traceparent, tracestate, baggage, timeout (property)", async (t) => {
    const served = await serveFreight(t);
    const connection = await open(t, served);
    await fc.assert(
      fc.asyncProperty(hostile, hostile, hostile, async (traceparent, tracestate, baggage) => {
        connection.send(post("sum", { a: 1, b: 2 }, { traceparent, tracestate, baggage }));
        assert.equal((await connection.answer())?.status, 200);
      }),
      { numRuns: 150 },
    );
    for (const timeout of ["x", "-1", "1e3", "99999999999", "1.5", " "]) {
      connection.send(post("sum", { a: 1, b: 2 }, { "connect-timeout-ms": timeout }));
      const answer = await connection.answer();
      assert.ok(answer?.status === 400 || answer?.status === 200, `${timeout}: ${answer?.status}`);
    }
  });
});

describe("limits of connections", () => {
  test("a header section that does not come in time costs its connection", async (t) => {
    const served = await serveFreight(t, { headersTimeoutMs: 300 });
    const connection = await open(t, served);
    connection.send("POST /test.v1.Freight/sum HTTP/1.1\r\nhost: a\r\n");
    await connection.gone;
    const silent = await open(t, served);
    await silent.gone;
    await stillServes(t, served);
  });

  test("an idle connection is closed", async (t) => {
    const served = await serveFreight(t, { idleTimeoutMs: 200 });
    const connection = await open(t, served);
    connection.send(post("sum", { a: 1, b: 2 }));
    assert.equal((await connection.answer())?.status, 200);
    await connection.gone;
  });

  test("sockets beyond the limit are closed at once, and there is room again when others go", async (t) => {
    const served = await serveFreight(t, { maxConnections: 2 });
    const held = [await open(t, served), await open(t, served)];
    for (const connection of held) {
      connection.send(post("sum", { a: 1, b: 2 }));
      await connection.answer();
    }
    const third = await open(t, served);
    third.send(post("sum", { a: 1, b: 2 }));
    await third.gone;
    held[0]!.destroy();
    await held[0]!.gone;
    for (let tries = 0; ; tries++) {
      const answer = await exchange(t, served, post("sum", { a: 1, b: 2 }));
      if (answer?.status === 200) break;
      assert.ok(tries < 100, "there is room again");
    }
  });

  test("what is refused in any case is refused before its body has come, and the connection goes on", async (t) => {
    let refusing = true;
    const refuser: Middleware = Object.assign(<Req, Res>(next: Endpoint<Req, Res>) => next, {
      refuses: () => (refusing ? new ServiceError("unavailable", "not now") : undefined),
    });
    const served = await serveFreight(t, {}, {}, [refuser]);
    const raw = await open(t, served);
    const request = post("sum", { a: 1, b: 2 });
    const head = request.slice(0, request.indexOf("\r\n\r\n") + 4);
    raw.send(head);
    const refused = await raw.answer();
    assert.equal(refused?.status, 503);
    assert.match(errorOf(refused).message, /not now/);
    refusing = false;
    raw.send(request.slice(head.length));
    raw.send(request);
    assert.equal((await raw.answer())?.status, 200);
  });

  test("calls beyond the limit are refused as unavailable, those in flight go on", async (t) => {
    const served = await serveFreight(t, { maxConcurrentRequests: 1 });
    const first = await open(t, served);
    first.send(post("hang", {}, { "connect-timeout-ms": "400" }));
    while (served.listening.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
    const answer = await exchange(t, served, post("sum", { a: 1, b: 2 }));
    assert.equal(answer?.status, 503);
    assert.match(answer?.body ?? "", /limit of 1 concurrent/);
    assert.equal(errorOf(await first.answer()).code, "deadline_exceeded");
    await stillServes(t, served);
  });
});

describe("a connection whose first bytes come one by one", () => {
  for (const [name, bytes] of [
    ["HTTP/1.1", post("sum", { a: 1, b: 2 })],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ] as const) {
    test(`is served, and others meanwhile: ${name}`, async (t) => {
      const served = await serveFreight(t);
      const connection = await open(t, served);
      for (const byte of bytes.slice(0, 30)) {
        connection.send(byte);
        await stillServes(t, served);
      }
      connection.send(bytes.slice(30));
      // Of HTTP/2 the settings: a frame of type 4 on stream 0.
      if (name === "HTTP/2") while (!connection.pending.startsWith("\0\0")) await new Promise(setImmediate);
      else assert.equal((await connection.answer())?.body, '{"v":3}');
    });
  }

  test("is closed when it ends before it is known what it speaks", async (t) => {
    const served = await serveFreight(t);
    for (const bytes of ["", "P", "PR"]) {
      const connection = await open(t, served);
      connection.socket.end(bytes);
      await connection.gone;
    }
    await stillServes(t, served);
  });
});

test("pipelined requests are answered in their order; a client that goes cancels all of them", async (t) => {
  let canceled = 0;
  const served = await serveFreight(
    t,
    {},
    {
      hang: (ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener("abort", () => {
            canceled++;
            reject(ctx.err!);
          });
        }),
    },
  );
  const connection = await open(t, served);
  connection.send([1, 2, 3].map((b) => post("sum", { a: 0, b })).join(""));
  for (const v of [1, 2, 3]) assert.equal((await connection.answer())?.body, `{"v":${v}}`);
  connection.send(post("hang", {}) + post("hang", {}));
  while (served.listening.inFlight < 2) await new Promise((resolve) => setImmediate(resolve));
  connection.destroy();
  while (canceled < 2) await new Promise((resolve) => setImmediate(resolve));
  while (served.listening.inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("garbage never takes the server down (fuzz)", async (t) => {
  const served = await serveFreight(t, { headersTimeoutMs: 500 });
  const start = fc.constantFrom(
    "",
    "POST ",
    "GET /test.v1.Freight/sum?",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    post("chat", ""),
  );
  await fc.assert(
    fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), async (prefix, bytes) => {
      const connection = await open(t, served);
      connection.send(Buffer.concat([Buffer.from(prefix, "latin1"), bytes, Buffer.from("\r\n\r\n")]));
      connection.socket.end();
      await connection.gone;
    }),
    { numRuns: 150, seed: 7 },
  );
  await stillServes(t, served);
  while (served.listening.inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
});
