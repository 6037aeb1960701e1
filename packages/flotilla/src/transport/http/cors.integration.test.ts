// CORS as a real browser understands it: plain fetch from a page of another origin.
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Frame, Page } from "playwright-core";
import { skipWithout } from "../../../../../scripts/servers.ts";
import { serverCall } from "../../metadata/call.ts";
import type { CorsOptions } from "./options.ts";
import { nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";
import { type Surfer, surf } from "./test-fixtures/browser.ts";

nothingEscapes();

interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Of fetch, as browsers have it. */
interface Init {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly credentials?: "include";
  readonly cache?: "no-store" | "no-cache";
}

/** What the page sees of the answer; undefined when the browser keeps it from the page. */
function get(page: Page | Frame, url: string, options: Init = {}): Promise<Seen | undefined> {
  return page.evaluate(
    async ([address, init]) => {
      try {
        const answer = await fetch(address, init);
        return {
          status: answer.status,
          headers: Object.fromEntries(answer.headers.entries()),
          body: await answer.text(),
        };
      } catch {
        return undefined;
      }
    },
    [url, options] as const,
  );
}

const json = { "content-type": "application/json" };

describe("fetch in Chromium", { skip: await skipWithout("chromium") }, () => {
  let surfer: Surfer;
  before(async () => {
    surfer = await surf();
  });
  after(() => surfer[Symbol.asyncDispose]());

  async function bed(t: TestContext, cors: Partial<CorsOptions> | null = {}) {
    const calls: string[] = [];
    const cookies: (string | undefined)[] = [];
    const { address } = await serveFreight(
      t,
      cors === null ? {} : { cors: { origins: [surfer.origin], ...cors } },
      {},
      [
        (next, method) =>
          function note(ctx, request) {
            calls.push(method.key);
            cookies.push(serverCall(ctx)?.headers.get("cookie"));
            return next(ctx, request);
          },
      ],
    );
    return { address, calls, cookies, page: surfer.page };
  }

  test("REST: GET, POST, PUT, DELETE", async (t) => {
    const { address, page } = await bed(t);
    const got = await get(page, `${address}/cargos/C-1?tons=2.5&tags=a&tags=b`);
    assert.deepEqual(JSON.parse(got!.body), { id: "C-1", tons: 2.5, tags: ["a", "b"] });
    assert.match(got!.headers["etag"]!, /^W\//, "the page may read the ETag");
    const posted = await get(page, `${address}/cargos`, { method: "POST", headers: json, body: '{"id":"C-2"}' });
    assert.deepEqual([posted?.status, posted?.body], [201, '{"id":"C-2"}']);
    const put = await get(page, `${address}/cargos/C-3`, { method: "PUT", headers: json, body: '{"tons":3}' });
    assert.deepEqual(JSON.parse(put!.body), { tons: 3, id: "C-3" });
    const dropped = await get(page, `${address}/cargos/C-3`, { method: "DELETE" });
    assert.deepEqual([dropped?.status, dropped?.body], [204, ""]);
  });

  test("an answer that the page has already: 304", async (t) => {
    const { address, page } = await bed(t);
    const first = await get(page, `${address}/cargos/C-1`);
    const headers = { "if-none-match": first!.headers["etag"]! };
    assert.equal((await get(page, `${address}/cargos/C-1`, { headers, cache: "no-store" }))?.status, 304);
    // The browser's own cache asks whether its copy is still good, and gives that to the page.
    const again = await get(page, `${address}/cargos/C-1`, { cache: "no-cache" });
    assert.deepEqual([again?.status, again?.body], [200, first!.body]);
  });

  test("problem+json, of a handler and of the transport", async (t) => {
    const { address, page } = await bed(t);
    for (const [path, method, status] of [
      ["/cargos/C-1?tons=heavy", "GET", 400],
      ["/nowhere", "GET", 404],
      ["/cargos", "DELETE", 405],
    ] as const) {
      const seen = await get(page, address + path, { method });
      assert.equal(seen?.headers["content-type"], "application/problem+json", path);
      assert.equal((JSON.parse(seen.body) as { status: number }).status, status);
    }
  });

  test("a server without CORS, and one for another origin, are not for this page", async (t) => {
    for (const cors of [null, { origins: ["https://app.example"] }]) {
      const { address, page, calls } = await bed(t, cors);
      assert.equal(await get(page, `${address}/cargos/C-1`), undefined);
      const post = { method: "POST", headers: json, body: '{"id":"C-2"}' };
      assert.equal(await get(page, `${address}/cargos`, post), undefined);
      assert.equal(await get(page, `${address}/cargos/C-3`, { method: "DELETE" }), undefined);
      assert.deepEqual(
        calls,
        ["getCargo"],
        "what needs a preflight never came; a plain GET did, but could not be read",
      );
    }
  });

  test('"*": any page, even without an origin, but none with credentials', async (t) => {
    const { address, page } = await bed(t, { origins: "*" });
    const sandboxed = page.frame("sandboxed")!;
    for (const from of [page, sandboxed]) {
      assert.equal((await get(from, `${address}/cargos/C-1`))?.status, 200);
      const post = { method: "POST", headers: json, body: '{"id":"C-2"}' };
      assert.equal((await get(from, `${address}/cargos`, post))?.status, 201);
      assert.equal(await get(from, `${address}/cargos/C-1`, { credentials: "include" }), undefined);
    }
  });

  test("a sandboxed frame (origin null) is not the page that holds it", async (t) => {
    const { address, page } = await bed(t);
    assert.equal(await get(page.frame("sandboxed")!, `${address}/cargos/C-1`), undefined);
  });

  test("credentials only where they are allowed", async (t) => {
    const { address, page, cookies } = await bed(t, { credentials: true });
    assert.equal((await get(page, `${address}/cargos/C-1`, { credentials: "include" }))?.status, 200);
    assert.equal(cookies.at(-1), "crumb=42");
    const post = { method: "POST", headers: json, body: '{"id":"C-2"}', credentials: "include" } as const;
    assert.equal((await get(page, `${address}/cargos`, post))?.status, 201);
    assert.equal(cookies.at(-1), "crumb=42");
    assert.equal((await get(page, `${address}/cargos/C-1`))?.status, 200);
    assert.equal(cookies.at(-1), undefined);
    const without = await bed(t);
    assert.equal(await get(page, `${without.address}/cargos/C-1`, { credentials: "include" }), undefined);
  });

  test("request headers: those of the protocol and those allowed, no others", async (t) => {
    const { address, page, calls } = await bed(t, { allowHeaders: ["X-Own"] });
    const headers = {
      "x-own": "1",
      authorization: "Bearer x",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      baggage: "a=b",
      "connect-timeout-ms": "5000",
    };
    assert.equal((await get(page, `${address}/cargos/C-1`, { headers }))?.status, 200);
    calls.length = 0;
    assert.equal(await get(page, `${address}/cargos/C-1`, { headers: { "x-other": "1" } }), undefined);
    assert.deepEqual(calls, []);
  });

  test("pages of two origins share a cache, and neither gets the other's answer", async (t) => {
    const second = await surf(surfer);
    t.after(() => second[Symbol.asyncDispose]());
    const { address } = await serveFreight(
      t,
      { cors: { origins: [surfer.origin, second.origin] } },
      {
        getCargo(ctx, cargo) {
          serverCall(ctx)!.responseHeaders.set("cache-control", "public, max-age=60");
          return cargo;
        },
      },
    );
    for (const page of [surfer.page, second.page, surfer.page]) {
      assert.equal((await get(page, `${address}/cargos/C-1`))?.status, 200);
    }
  });
});
