import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { brotliDecompressSync, gunzipSync, gzipSync } from "node:zlib";
import { errorInfo } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";
import { curl } from "./test-fixtures/curl.ts";

nothingEscapes();

const json = ["--header", "content-type: application/json"];

/** A file that is gone with the test. */
async function file(t: TestContext, content: string | Uint8Array): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "flotilla-curl-"));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, "body"), content);
  return join(dir, "body");
}

const versions = {
  "HTTP/1.1": { flag: "--http1.1", version: "1.1" },
  "HTTP/2": { flag: "--http2-prior-knowledge", version: "2" },
};

for (const [name, { flag, version }] of Object.entries(versions)) {
  describe(`curl over ${name}`, () => {
    const call = (...args: string[]) => curl(flag, ...args);

    test("unary POST", async (t) => {
      const { address } = await serveFreight(t);
      const answer = await call(`${address}/test.v1.Freight/sum`, ...json, "--data", '{"a":1,"b":2}');
      assert.equal(answer.version, version);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.deepEqual(JSON.parse(answer.body), { v: 3 });
    });

    test("a content type with parameters, in any case", async (t) => {
      const { address } = await serveFreight(t);
      const type = ["--header", "Content-Type: Application/JSON; charset=utf-8"];
      const answer = await call(`${address}/test.v1.Freight/sum`, ...type, "--data", '{"a":1,"b":2}');
      assert.deepEqual([answer.status, answer.body], [200, '{"v":3}']);
    });

    test("unary GET of a safe method, and of no other", async (t) => {
      const { address } = await serveFreight(t);
      const query = (message: string) => `?connect=v1&encoding=json&message=${encodeURIComponent(message)}`;
      const answer = await call(`${address}/test.v1.Freight/sum${query('{"a":40,"b":2}')}`);
      assert.deepEqual([answer.status, answer.body], [200, '{"v":42}']);
      const base64 = Buffer.from('{"a":40,"b":3}').toString("base64url");
      const encoded = await call(`${address}/test.v1.Freight/sum?message=${base64}&base64=1&encoding=json&connect=v1`);
      assert.deepEqual([encoded.status, encoded.body], [200, '{"v":43}']);
      const packed = gzipSync('{"a":40,"b":4}').toString("base64url");
      const compressed = await call(
        `${address}/test.v1.Freight/sum?message=${packed}&base64=1&encoding=json&connect=v1&compression=gzip`,
      );
      assert.deepEqual([compressed.status, compressed.body], [200, '{"v":44}']);
      for (const method of ["mark", "echo"]) {
        const refused = await call(`${address}/test.v1.Freight/${method}${query('{"text":"x"}')}`);
        assert.equal(refused.status, 405, `GET of ${method}`);
        assert.equal(refused.headers["allow"], "POST");
      }
    });

    test("GET says what is wrong with its query", async (t) => {
      const { address } = await serveFreight(t);
      for (const [query, why] of [
        ["", /encoding/],
        ["?encoding=json", /message is missing/],
        ["?encoding=proto&message=", /encoding must be "json"/],
        ["?encoding=json&message={}&connect=v2", /connect must be "v1"/],
        ["?encoding=json&message={}&compression=zstd", /gzip, br/],
        ["?encoding=json&message=%7B", /not valid JSON/],
      ] as const) {
        const answer = await call("--globoff", `${address}/test.v1.Freight/sum${query}`);
        const error = JSON.parse(answer.body) as { code: string; message: string };
        assert.match(error.message, why);
        assert.equal(answer.status, error.code === "unimplemented" ? 501 : 400);
      }
    });

    test("REST: GET, POST, PUT, DELETE", async (t) => {
      const { address } = await serveFreight(t);
      const got = await call("--globoff", `${address}/cargos/C-1?tons=2.5&fragile=true&tags=a&tags=b&weights=1&note=9`);
      assert.deepEqual(JSON.parse(got.body), {
        id: "C-1",
        tons: 2.5,
        fragile: true,
        tags: ["a", "b"],
        weights: [1],
        note: "9",
      });
      const posted = await call(`${address}/cargos`, ...json, "--data", '{"id":"C-2"}');
      assert.deepEqual([posted.status, posted.body], [201, '{"id":"C-2"}']);
      const put = await call(`${address}/cargos/C-3`, "--request", "PUT", ...json, "--data", '{"tons":3}');
      assert.deepEqual(JSON.parse(put.body), { tons: 3, id: "C-3" });
      const dropped = await call(`${address}/cargos/C-3`, "--request", "DELETE");
      assert.deepEqual([dropped.status, dropped.body, dropped.headers["content-length"]], [204, "", undefined]);
    });

    test("errors: Connect's JSON for procedures, problem+json for REST", async (t) => {
      const { address } = await serveFreight(t);
      const failed = await call(`${address}/test.v1.Freight/fail`, ...json, "--data", '{"code":"not_found"}');
      assert.equal(failed.status, 404);
      assert.equal(failed.headers["x-reason"], "asked");
      const error = JSON.parse(failed.body) as {
        code: string;
        message: string;
        details: { type: string; debug: unknown }[];
      };
      assert.deepEqual(
        [error.code, error.message, error.details[0]!.type],
        ["not_found", "as asked", "google.rpc.ErrorInfo"],
      );
      const problem = await call(`${address}/cargos/C-1?tons=heavy`);
      assert.equal(problem.headers["content-type"], "application/problem+json");
      const { status, code, errors } = JSON.parse(problem.body) as Record<string, unknown>;
      assert.deepEqual([status, code], [400, "invalid_argument"]);
      assert.deepEqual(
        (errors as { field: string }[]).map(({ field }) => field),
        ["tons"],
      );
      const full = await serveFreight(
        t,
        { maxBodyBytes: 100 },
        {
          expressCargo() {
            const details = [
              errorInfo({ reason: "SOLD_OUT", domain: "x.example" }),
              { type: "x.v1.Left", value: { n: 0 } },
            ];
            throw new ServiceError("failed_precondition", "sold out", { details });
          },
        },
      );
      const express = (text: string) =>
        call(`${full.address}/cargos/express`, ...json, "--data", JSON.stringify({ text }));
      assert.deepEqual(JSON.parse((await express("x")).body), {
        type: "about:blank",
        title: "Bad Request",
        status: 400,
        detail: "sold out",
        code: "failed_precondition",
        reason: "SOLD_OUT",
        details: [
          { reason: "SOLD_OUT", domain: "x.example", "@type": "google.rpc.ErrorInfo" },
          { n: 0, "@type": "x.v1.Left" },
        ],
      });
      assert.equal((await express("x".repeat(100))).status, 413);
    });

    test("what is no ServiceError leaves as internal, and stays in the log", async (t) => {
      const { address, reported } = await serveFreight(t);
      const answer = await call(
        `${address}/test.v1.Freight/fail`,
        ...json,
        "--data",
        '{"code":"plain","message":"secret"}',
      );
      assert.deepEqual([answer.status, answer.body], [500, '{"code":"internal","message":"internal error"}']);
      assert.deepEqual(
        reported.map(({ cause }) => (cause as Error).message),
        ["secret"],
      );
    });

    test("compressed requests", async (t) => {
      const { address } = await serveFreight(t);
      const path = await file(t, gzipSync('{"text":"packed"}'));
      const answer = await call(
        `${address}/test.v1.Freight/echo`,
        ...json,
        "--header",
        "content-encoding: gzip",
        "--data-binary",
        `@${path}`,
      );
      assert.equal(answer.body, '{"text":"packed"}');
    });

    test("compressed responses", async (t) => {
      const { address } = await serveFreight(t);
      const text = "ahoy ".repeat(2000);
      const path = await file(t, JSON.stringify({ text }));
      for (const [accept, unpack] of [
        ["gzip", gunzipSync],
        ["br", brotliDecompressSync],
      ] as const) {
        const { headers, body } = await call(
          `${address}/test.v1.Freight/echo`,
          ...json,
          "--data-binary",
          `@${path}`,
          "--header",
          `accept-encoding: ${accept}`,
          "--output",
          `${path}.out`,
        );
        assert.equal(body, "");
        assert.equal(headers["content-encoding"], accept);
        assert.equal(headers["vary"], "accept-encoding");
        const { readFile } = await import("node:fs/promises");
        const packed = await readFile(`${path}.out`);
        assert.equal(Number(headers["content-length"]), packed.byteLength);
        assert.deepEqual(JSON.parse(unpack(packed).toString()), { text });
      }
      const decoded = await call(
        `${address}/test.v1.Freight/echo`,
        ...json,
        "--compressed",
        "--data-binary",
        `@${path}`,
      );
      assert.deepEqual(JSON.parse(decoded.body), { text });
    });

    test("connect-timeout-ms", async (t) => {
      const { address } = await serveFreight(t);
      for (const timeout of ["0", "1", "50"]) {
        const answer = await call(
          `${address}/test.v1.Freight/hang`,
          ...json,
          "--header",
          `connect-timeout-ms: ${timeout}`,
          "--data",
          "{}",
        );
        assert.equal(answer.status, 504);
        assert.equal((JSON.parse(answer.body) as { code: string }).code, "deadline_exceeded");
      }
      for (const timeout of ["soon", "-1", "1.5", "10000000000", "0x10"]) {
        const answer = await call(
          `${address}/test.v1.Freight/hang`,
          ...json,
          "--header",
          `connect-timeout-ms: ${timeout}`,
          "--data",
          "{}",
        );
        assert.equal(answer.status, 400, timeout);
        assert.match(answer.body, /connect-timeout-ms must be a whole number/);
      }
    });

    test("a body of 3 MB, which curl announces with Expect: 100-continue", async (t) => {
      const { address } = await serveFreight(t);
      const text = "x".repeat(3_000_000);
      const path = await file(t, JSON.stringify({ text }));
      const answer = await call(
        `${address}/test.v1.Freight/echo`,
        ...json,
        "--header",
        "expect: 100-continue",
        "--data-binary",
        `@${path}`,
      );
      assert.equal(answer.status, 200);
      assert.equal((JSON.parse(answer.body) as { text: string }).text, text);
    });

    test("a server stream, framed as the protocol has it", async (t) => {
      const { address } = await serveFreight(t);
      const path = await file(t, Buffer.concat([Buffer.from([0, 0, 0, 0, 8]), Buffer.from('{"to":2}')]));
      const answer = await call(
        `${address}/test.v1.Freight/count`,
        "--header",
        "content-type: application/connect+json",
        "--data-binary",
        `@${path}`,
      );
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/connect+json");
      assert.equal(answer.body, '\0\0\0\0\u0007{"n":1}\0\0\0\0\u0007{"n":2}\u0002\0\0\0\u0002{}');
    });
  });
}
