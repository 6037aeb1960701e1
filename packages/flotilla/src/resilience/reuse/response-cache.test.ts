import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withCancel } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import { chain, type Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver, withHeaders, withResponseObserver } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { freshnessOf } from "./freshness.ts";
import { type ResponseCacheOptions, responseCache } from "./response-cache.ts";
import { Shelf } from "./shelf.ts";
import { singleFlight } from "./single-flight.ts";

const io = { input: z.object({ n: z.number() }), output: z.object({ at: z.number(), text: z.string().optional() }) };
const { methods } = contract("a.B", {
  read: unary({ ...io, safe: true }),
  remove: unary({ ...io, idempotent: true }),
  write: unary(io),
});
const method = (key: string): MethodInfo => methods.find((info) => info.key === key)!;

/** A service that answers with its count of calls. */
function bed(options: Partial<ResponseCacheOptions> = {}, key = "read") {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const cache = responseCache({ ttlMs: 1000, clock, ...options });
  const service = {
    calls: 0,
    fails: undefined as Code | undefined,
    cacheControl: undefined as string | undefined,
    ms: 0,
  };
  const endpoint: Endpoint = async (inner) => {
    const at = ++service.calls;
    await sleep(inner, service.ms);
    const { cacheControl, fails } = service;
    if (fails !== undefined) throw new ServiceError(fails, "broken");
    const headers = new Metadata({ kind: "tea" });
    if (cacheControl !== undefined) headers.set("cache-control", cacheControl);
    responseObserver(inner)?.(headers, new Metadata());
    return { at };
  };
  const call = cache(endpoint, method(key)) as Endpoint<{ n: number }, { at: number }>;
  const get = async (n = 1, from: Context = ctx): Promise<number | Code> => {
    const pending = call(from, { n }).then(
      ({ at }) => at,
      (error: unknown) => ServiceError.from(error).code,
    );
    await clock.run(0);
    return pending;
  };
  return { clock, ctx, cache, service, endpoint, call, get };
}

describe("what is given again", () => {
  test("the answer to the same request, for its time", async () => {
    const { clock, get, service, cache } = bed();
    assert.equal(await get(), 1);
    await clock.run(999);
    assert.equal(await get(), 1);
    assert.equal(await get(2), 2);
    await clock.run(1);
    assert.equal(await get(), 3);
    assert.equal(service.calls, 3);
    const { hits, misses, entries } = cache.state;
    assert.deepEqual({ hits, misses, entries }, { hits: 1, misses: 3, entries: 2 });
  });

  test("nobody is given what was for somebody else", async () => {
    const { get, ctx } = bed();
    assert.equal(await get(1, withHeaders(ctx, { authorization: "alice" })), 1);
    assert.equal(await get(1, withHeaders(ctx, { authorization: "bob" })), 2);
    assert.equal(await get(1), 3);
    assert.equal(await get(1, withHeaders(ctx, { authorization: "alice" })), 1);
  });

  test("no failure", async () => {
    const { get, service } = bed();
    service.fails = "not_found";
    assert.equal(await get(), "not_found");
    service.fails = undefined;
    assert.equal(await get(), 2);
  });

  test("nothing to a call that is over", async () => {
    const { get, ctx } = bed();
    await get();
    const over = withCancel(ctx);
    over.cancel();
    assert.equal(await get(1, over), "canceled");
  });

  test("headers too, with the age", async () => {
    const { get, ctx, clock } = bed({ ttlMs: 10_000 });
    const seen: (string | undefined)[] = [];
    const observing = withResponseObserver(ctx, (headers) => seen.push(headers.get("kind"), headers.get("age")));
    await get(1, observing);
    await clock.run(3500);
    await get(1, observing);
    await get(1, observing);
    assert.deepEqual(seen, ["tea", undefined, "tea", "3", "tea", "3"]);
  });

  test("only what changes nothing, unless told", () => {
    const endpoint: Endpoint = async () => undefined;
    assert.equal(responseCache({ ttlMs: 1 })(endpoint, method("remove")), endpoint);
    assert.notEqual(responseCache({ ttlMs: 1, methods: () => true })(endpoint, method("remove")), endpoint);
    assert.equal(responseCache({ ttlMs: 1, methods: () => true })(endpoint, method("write")), endpoint);
  });

  test("nothing after clear()", async () => {
    const { get, cache } = bed();
    await get();
    cache.clear();
    assert.equal(cache.state.bytes, 0);
    assert.equal(await get(), 2);
  });
});

describe("past its time", () => {
  test("it is given while a new one is fetched, once", async () => {
    const { get, clock, service, cache } = bed({ staleMs: 500 });
    await get();
    await clock.run(1000);
    service.ms = 50;
    assert.deepEqual([await get(), await get()], [1, 1]);
    assert.equal(service.calls, 2);
    await clock.run(50);
    assert.equal(await get(), 2);
    assert.equal(cache.state.stale, 2);
    await clock.run(10_000);
    assert.equal(clock.pending, 0);
  });

  test("a refresh that fails is counted, and tried again", async () => {
    const { get, clock, service, cache } = bed({ staleMs: 500 });
    await get();
    await clock.run(1000);
    service.fails = "unavailable";
    assert.deepEqual([await get(), await get()], [1, 1]);
    assert.equal(cache.state.failedRefreshes, 2);
    await clock.run(500);
    assert.equal(await get(), "unavailable");
  });

  test("a refresh lasts no longer than its time, though nobody waits for it", async () => {
    const { get, clock, service, cache } = bed({ staleMs: 60_000 });
    await get();
    await clock.run(1000);
    service.ms = 1_000_000;
    await get();
    await clock.run(10_010);
    assert.equal(cache.state.failedRefreshes, 1);
    assert.equal(clock.pending, 0);
  });

  test("it is given when there is a failure, but not when the caller is wrong", async () => {
    const { get, clock, service } = bed({ staleIfErrorMs: 5000 });
    await get();
    await clock.run(2000);
    service.fails = "unavailable";
    assert.equal(await get(), 1);
    service.fails = "permission_denied";
    assert.equal(await get(), "permission_denied");
    service.fails = "unavailable";
    await clock.run(4000);
    assert.equal(await get(), "unavailable");
  });
});

describe("cache-control", () => {
  test("the server's word counts", async () => {
    const { get, clock, service, cache } = bed();
    service.cacheControl = "public, max-age=5";
    await get();
    await clock.run(4999);
    assert.equal(await get(), 1);
    await clock.run(1);
    service.cacheControl = "no-store";
    assert.equal(await get(), 2);
    assert.equal(await get(), 3);
    assert.equal(cache.state.entries, 0, "what was kept before is forgotten");
  });

  test("is read as RFC 9111 has it", () => {
    assert.equal(freshnessOf(undefined), undefined);
    assert.equal(freshnessOf("private"), undefined);
    assert.equal(freshnessOf("Max-Age=60, must-revalidate"), 60_000);
    assert.equal(freshnessOf('max-age="7"'), 7000);
    assert.equal(freshnessOf("max-age=0"), 0);
    assert.equal(freshnessOf("max-age=60, no-store"), -1);
    assert.equal(freshnessOf('no-cache="set-cookie"'), -1);
    assert.equal(freshnessOf("max-age=-1"), undefined);
    assert.equal(freshnessOf("max-age=99999999999"), undefined);
  });
});

describe("bounds", () => {
  test("the least recently used goes when there are too many", async () => {
    const { get, cache } = bed({ maxEntries: 2 });
    await get(1);
    await get(2);
    await get(1);
    await get(3);
    assert.equal(await get(1), 1);
    assert.equal(await get(2), 4);
    assert.deepEqual([cache.state.entries, cache.state.evicted], [2, 2]);
  });

  test("or when they are too large; what is larger than all is not kept", () => {
    const shelf = new Shelf<string>(10, 100);
    shelf.put("a", "A", 60);
    shelf.put("b", "B", 60);
    assert.equal(shelf.get("a"), undefined);
    shelf.put("c", "C", 101);
    assert.equal(shelf.get("c"), undefined);
    assert.equal(shelf.get("b"), "B");
    shelf.put("b", "BB", 10);
    assert.deepEqual([shelf.bytes, shelf.size], [10, 1]);
  });

  test("a large request makes no large key", async () => {
    const { call, cache, ctx, clock } = bed({ key: () => "x".repeat(100_000) });
    void call(ctx, { n: 1 });
    await clock.run(0);
    assert.ok(cache.state.bytes < 200);
  });

  test("with a single flight inside, a herd is one call", async () => {
    const { endpoint, service, ctx, clock, cache } = bed();
    service.ms = 50;
    const call = chain(cache, singleFlight())(endpoint, method("read"));
    const herd = Array.from({ length: 100 }, () => call(ctx, { n: 1 }));
    await clock.run(50);
    await Promise.all(herd);
    assert.equal(service.calls, 1);
    await call(ctx, { n: 1 });
    assert.equal(service.calls, 1);
  });

  test("options that are not legal are named", () => {
    assert.throws(() => responseCache({ ttlMs: -1 }), /ttlMs must be 0 or more, got -1/);
    assert.throws(() => responseCache({ ttlMs: 1, staleMs: Number.NaN }), /staleMs must be 0 or more, got NaN/);
    assert.throws(() => responseCache({ ttlMs: 1, maxEntries: 0 }), /maxEntries must be 1 or more/);
    assert.throws(() => responseCache({ ttlMs: 1, maxBytes: 0 }), /maxBytes must be above 0/);
  });
});
