import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { request } from "undici";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall } from "../../metadata/call.ts";
import type { CorsOptions } from "./options.ts";
import { http } from "./server.ts";
import { nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";

nothingEscapes();

const APP = "https://app.example";

async function bed(t: TestContext, cors: CorsOptions) {
  const { address } = await serveFreight(
    t,
    { cors, compressMinBytes: 1 },
    {
      getCargo(ctx, cargo) {
        serverCall(ctx)!.responseHeaders.set("vary", "cookie");
        return cargo;
      },
      expressCargo() {
        throw new ServiceError("not_found", "no");
      },
    },
  );
  return async (path: string, headers: Record<string, string>, method: "GET" | "POST" | "OPTIONS" = "GET") => {
    const json = method === "POST" ? { "content-type": "application/json" } : {};
    const body = method === "POST" ? '{"text":"a"}' : null;
    const answer = await request(address + path, { method, headers: { ...json, ...headers }, body });
    await answer.body.dump();
    return { status: answer.statusCode, headers: answer.headers };
  };
}

const varied = (value: string | string[] | undefined) => [value ?? []].flat().join(", ").split(", ").sort();

describe("CORS", () => {
  test("an allowed origin may read any answer: of a call, a stream, a failure, a refusal", async (t) => {
    const call = await bed(t, { origins: ["https://other.example", APP] });
    const origin = { origin: APP };
    for (const [what, path, status, method, more] of [
      ["Connect", "/test.v1.Freight/echo", 200, "POST"],
      ["Connect by GET", "/test.v1.Freight/sum?encoding=json&message=%7B%22a%22:1,%22b%22:2%7D", 200, "GET"],
      ["stream", "/test.v1.Freight/total", 200, "POST", { "content-type": "application/connect+json" }],
      ["REST", "/cargos/C-1", 200, "GET"],
      ["failure", "/cargos/express", 404, "POST"],
      ["nothing there", "/nowhere", 404, "GET"],
      ["other verb", "/cargos/C-1", 405, "POST"],
      ["other type", "/cargos", 415, "POST", { "content-type": "text/plain" }],
    ] as const) {
      const { status: got, headers } = await call(path, { ...origin, ...more }, method);
      assert.equal(got, status, what);
      assert.equal(headers["access-control-allow-origin"], APP, what);
      assert.match(String(headers["access-control-expose-headers"]), /\betag\b.*\blocation\b/, what);
      assert.equal(headers["access-control-allow-credentials"], undefined, what);
      assert.ok(varied(headers["vary"]).includes("origin"), what);
    }
  });

  test("an answer not changed (304) may be read too", async (t) => {
    const call = await bed(t, { origins: [APP] });
    const { headers } = await call("/cargos/C-1", { origin: APP });
    const unchanged = await call("/cargos/C-1", { origin: APP, "if-none-match": String(headers["etag"]) });
    assert.deepEqual([unchanged.status, unchanged.headers["access-control-allow-origin"]], [304, APP]);
  });

  test("other origins, and none, get no permission; caches learn that it depends on the origin", async (t) => {
    const call = await bed(t, { origins: [APP], credentials: true });
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "https://app.example.evil.example" },
      { origin: "HTTPS://APP.EXAMPLE" },
      { origin: "http://app.example" },
      {},
    ]) {
      const answer = await call("/cargos/C-1", { ...headers });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["access-control-allow-origin"], undefined);
      assert.equal(answer.headers["access-control-allow-credentials"], undefined);
      assert.equal(answer.headers["access-control-expose-headers"], undefined);
      assert.ok(varied(answer.headers["vary"]).includes("origin"));
    }
  });

  test("all that the answer depends on is said", async (t) => {
    const call = await bed(t, { origins: [APP] });
    const { headers } = await call("/cargos/C-1", { origin: APP, "accept-encoding": "gzip" });
    assert.equal(headers["content-encoding"], "gzip");
    assert.deepEqual(varied(headers["vary"]), ["accept-encoding", "cookie", "origin"]);
  });

  test('"*" is for everyone, whoever asks', async (t) => {
    const call = await bed(t, { origins: "*" });
    for (const headers of [{ origin: APP }, { origin: "null" }, {}]) {
      const answer = await call("/cargos/latest", { ...headers });
      assert.equal(answer.headers["access-control-allow-origin"], "*");
      assert.equal(answer.headers["vary"], undefined);
    }
  });

  test("preflight", async (t) => {
    const call = await bed(t, { origins: [APP], credentials: true, allowHeaders: ["X-Own"], maxAgeS: 60 });
    const ask = (origin: string) =>
      call("/cargos/C-1", { origin, "access-control-request-method": "DELETE" }, "OPTIONS");
    const { status, headers } = await ask(APP);
    assert.equal(status, 204);
    assert.equal(headers["access-control-allow-origin"], APP);
    assert.equal(headers["access-control-allow-credentials"], "true");
    assert.equal(headers["access-control-allow-methods"], "GET, POST, PUT, PATCH, DELETE");
    assert.match(String(headers["access-control-allow-headers"]), /\bcontent-type\b.*\btraceparent\b.*, X-Own$/);
    assert.equal(headers["access-control-max-age"], "60");
    assert.equal(headers["access-control-expose-headers"], undefined);
    const refused = await ask("https://evil.example");
    assert.equal(refused.status, 204);
    assert.deepEqual(
      Object.keys(refused.headers).filter((name) => name.startsWith("access-control-")),
      [],
    );
    // No preflight, but OPTIONS of something that has no such method.
    assert.equal((await call("/cargos/C-1", { origin: APP }, "OPTIONS")).status, 405);
  });

  test("options that cannot work are refused, with what to write", () => {
    for (const [cors, message] of [
      [{ origins: "*", credentials: true }, /cors\.credentials cannot go with origins "\*"/],
      [{ origins: ["https://app.example/"] }, /has "https:\/\/app\.example\/": .* https:\/\/app\.example$/],
      [{ origins: ["https://App.example:443"] }, /as browsers do, https:\/\/app\.example$/],
      [{ origins: ["app.example"] }, /has "app\.example"/],
      [{ origins: ["null"] }, /has "null"/],
      [{ origins: ["*"] }, /has "\*"/],
      [{ origins: [], allowHeaders: ["x-a, x-b"] }, /cors\.allowHeaders has "x-a, x-b"/],
      [{ origins: [], exposeHeaders: [""] }, /cors\.exposeHeaders has ""/],
      [{ origins: [], maxAgeS: -1 }, /cors\.maxAgeS must be .* got -1/],
    ] as const) {
      assert.throws(() => http({ cors }), { name: "TypeError", message });
    }
    http({
      cors: { origins: ["https://app.example", "http://localhost:5173", "capacitor://localhost", "http://[::1]:8080"] },
    });
  });
});
