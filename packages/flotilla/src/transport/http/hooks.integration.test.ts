import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { contextKey } from "../../context/key.ts";
import { background, withValue } from "../../context/with.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { failureOf, readAll } from "../../testing/transport-bed.ts";
import type { HttpClientOptions } from "./client-options.ts";
import type { HttpServerHooks } from "./options.ts";
import { callFreight, nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";
import { post, RawConnection } from "./test-fixtures/raw.ts";

nothingEscapes();

const ctx = background();
const who = contextKey<string>("test.who");
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Hooks that note what they are told. */
function noting(extra: HttpServerHooks = {}) {
  const finished: FinishedCall[] = [];
  const seen: string[] = [];
  const hooks: HttpServerHooks = {
    before: (inner, call) => {
      seen.push(`before ${call.protocol}`);
      return withValue(inner, who, call.headers.get("x-who") ?? "nobody");
    },
    after: (inner, call, response) => {
      seen.push(`after ${inner.value(who)} ${JSON.stringify(response)}`);
      call.responseHeaders.set("x-after", "yes");
    },
    finalize: (_inner, call) => void finished.push(call),
    ...extra,
  };
  return { finished, seen, hooks };
}

for (const options of [{}, { http2: true }] satisfies HttpClientOptions[]) {
  describe(`hooks over ${"http2" in options ? "HTTP/2" : "HTTP/1.1"}`, () => {
    test("before gives the context, after sees the response, finalize the sizes: once a call, in this order", async (t) => {
      const { finished, seen, hooks } = noting();
      const { address, listening } = await serveFreight(t, { hooks });
      const freight = callFreight(t, address, options);
      assert.deepEqual(await freight.echo(ctx, { text: "ahoy" }), { text: "ahoy" });
      while (listening.inFlight > 0) await turn();
      assert.deepEqual(seen, ["before connect", 'after nobody {"text":"ahoy"}']);
      assert.equal(finished.length, 1);
      const { method, protocol, code, status, requestBytes, responseBytes, durationMs, error } = finished[0]!;
      assert.deepEqual(
        [method?.procedure, protocol, code, status, requestBytes, responseBytes, error],
        ["test.v1.Freight/echo", "connect", "ok", 200, 15, 15, undefined],
      );
      assert.ok(durationMs >= 0 && durationMs < 5000);
    });

    test("finalize is told of every way a call can end", async (t) => {
      const { finished, hooks } = noting();
      const { address, listening } = await serveFreight(t, { hooks, maxBodyBytes: 200 });
      const freight = callFreight(t, address, options);
      const codes = async (work: () => Promise<unknown>): Promise<unknown[]> => {
        finished.length = 0;
        await work();
        while (listening.inFlight > 0) await turn();
        return finished.map(({ code, error }) => [code, error?.code]);
      };
      const fails = (code: string) => async () => failureOf(freight.fail(ctx, { code, message: "x" }));
      assert.deepEqual(await codes(fails("not_found")), [["not_found", "not_found"]]);
      assert.deepEqual(await codes(fails("plain")), [["internal", "internal"]]);
      assert.deepEqual(await codes(() => failureOf(freight.echo(ctx, { text: 1 as unknown as string }))), [
        ["invalid_argument", "invalid_argument"],
      ]);
      assert.deepEqual(await codes(() => failureOf(freight.echo(ctx, { text: "x".repeat(300) }))), [
        ["resource_exhausted", "resource_exhausted"],
      ]);
      assert.deepEqual(await codes(() => failureOf(freight.brief(ctx, {}))), [
        ["deadline_exceeded", "deadline_exceeded"],
      ]);
      assert.deepEqual(await codes(() => readAll(freight.count(ctx, { to: 3 }))), [["ok", undefined]]);
      assert.deepEqual(await codes(() => failureOf(readAll(freight.count(ctx, { to: 3, failAfter: 1 })))), [
        ["resource_exhausted", "resource_exhausted"],
      ]);
      const left = async (): Promise<void> => {
        for await (const _ of freight.count(ctx, { to: 1_000_000 })) break;
      };
      assert.deepEqual(await codes(left), [["canceled", "canceled"]]);
    });

    test("a hook that throws fails its call as internal, and is reported; finalize is told all the same", async (t) => {
      for (const name of ["before", "after"] as const) {
        const { finished, hooks } = noting({
          [name]() {
            throw new Error(`${name} is broken`);
          },
        });
        const { address, listening, reported } = await serveFreight(t, { hooks });
        const failure = await failureOf(callFreight(t, address, options).echo(ctx, { text: "x" }));
        assert.deepEqual([failure.code, failure.message], ["internal", "internal error"]);
        while (listening.inFlight > 0) await turn();
        assert.deepEqual(
          reported.map(({ cause }) => (cause as Error).message),
          [`${name} is broken`],
        );
        assert.deepEqual(
          finished.map(({ code }) => code),
          ["internal"],
        );
      }
      const { hooks } = noting({
        finalize() {
          throw new Error("finalize is broken");
        },
      });
      const { address, listening, reported } = await serveFreight(t, { hooks });
      assert.deepEqual(await callFreight(t, address, options).echo(ctx, { text: "x" }), { text: "x" });
      while (listening.inFlight > 0) await turn();
      assert.equal(reported.length, 1);
    });

    test("encodeError writes errors in a form of its own, or leaves them to the protocol", async (t) => {
      const { hooks } = noting({
        encodeError: (error) =>
          error.code === "not_found" ? { status: 410, headers: { "x-gone": "1" }, body: "gone" } : undefined,
      });
      const { address } = await serveFreight(t, { hooks });
      const ask = (code: string): Promise<Response> =>
        fetch(`${address}/test.v1.Freight/fail`, {
          method: "POST",
          headers: { "content-type": "application/json", connection: "close" },
          body: JSON.stringify({ code }),
        });
      const gone = await ask("not_found");
      assert.deepEqual([gone.status, gone.headers.get("x-gone"), await gone.text()], [410, "1", "gone"]);
      const other = await ask("aborted");
      assert.deepEqual([other.status, ((await other.json()) as ServiceError).code], [409, "aborted"]);
    });
  });
}

test("finalize is told of requests that no call was made of, and of a client that went away", async (t) => {
  const { finished, hooks } = noting();
  const { port, listening } = await serveFreight(t, { hooks });
  const connection = await RawConnection.open(port);
  t.after(() => connection.destroy());
  connection.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.equal((await connection.answer())?.status, 404);
  connection.send("PATCH /cargos HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  assert.equal((await connection.answer())?.status, 405);
  assert.deepEqual(
    finished.map(({ method, code, status }) => [method, code, status]),
    [
      [undefined, "unimplemented", 404],
      [undefined, "unimplemented", 405],
    ],
  );
  connection.send(post("hang", {}));
  while (listening.inFlight === 0) await turn();
  connection.destroy();
  while (listening.inFlight > 0) await turn();
  const last = finished.at(-1)!;
  assert.deepEqual([last.method?.name, last.code, last.status], ["hang", "canceled", 0]);
});

test("REST: no body for 204, HEAD and 304; routes that share a path by verb", async (t) => {
  const { finished, hooks } = noting();
  const { address } = await serveFreight(t, { hooks });
  const ask = (path: string, init: { method?: string; headers?: Record<string, string> } = {}): Promise<Response> =>
    fetch(`${address}${path}`, { ...init, headers: { connection: "close", ...init.headers } });
  const dropped = await ask("/cargos/C-1", { method: "DELETE" });
  assert.deepEqual([dropped.status, await dropped.text(), dropped.headers.get("content-type")], [204, "", null]);
  const got = await ask("/cargos/C-1?tons=2");
  const etag = got.headers.get("etag")!;
  assert.deepEqual(await got.json(), { id: "C-1", tons: 2 });
  const same = await ask("/cargos/C-1?tons=2", { headers: { "if-none-match": etag } });
  assert.deepEqual([same.status, await same.text(), same.headers.get("etag")], [304, "", etag]);
  const changed = await ask("/cargos/C-1?tons=3", { headers: { "if-none-match": etag } });
  assert.equal(changed.status, 200);
  const head = await ask("/cargos/C-1?tons=2", { method: "HEAD" });
  assert.deepEqual([head.status, await head.text(), head.headers.get("etag")], [200, "", etag]);
  assert.equal((await ask("/cargos/express", { method: "GET" })).status, 200, "not hidden by POST /cargos/express");
  assert.equal(finished.length, 6);
});
