import assert from "node:assert/strict";
import { test } from "node:test";
import { randomInt, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withValue } from "../context/with.ts";
import { Load } from "../contract/load.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { LOAD_HEADER, type LoadReport, parseLoadReport } from "../endpoint/load-report.ts";
import { type ServerCall, serverCallKey } from "../metadata/call.ts";
import { Metadata } from "../metadata/metadata.ts";
import { loadReporting } from "./load-reporting.ts";

const unary = Load.methods[0]!;

/** A server of one method that takes as long as it is asked to, and what its answers say of its load. */
function server() {
  const clock = new VirtualClock();
  const middleware = loadReporting({ clock });
  const asked = async (endpoint: Endpoint, request: unknown): Promise<LoadReport> => {
    const responseHeaders = new Metadata({});
    const ctx = withValue(background(clock), serverCallKey, { responseHeaders } as ServerCall);
    await endpoint(ctx, request).catch(() => {});
    return parseLoadReport(responseHeaders.get(LOAD_HEADER)!)!;
  };
  const work = middleware(async (ctx: Context, ms: unknown) => {
    if (ms === "fail") throw new Error("broken");
    await sleep(ctx, ms as number);
    return {};
  }, unary);
  return {
    clock,
    middleware,
    call: (request: unknown) => asked(work, request),
    probe: () => asked(middleware.service.methods[0]!.endpoint, {}),
  };
}

test("answers tell how many others are in flight, and what calls took that found as many", async () => {
  const { clock, call, probe } = server();
  assert.deepEqual(await probe(), { requestsInFlight: 0, latencyMs: 0 });
  const first = call(10);
  const second = call(30);
  const third = call(70);
  assert.equal((await probe()).requestsInFlight, 3);
  await clock.run(100);
  // The first found none and took 10 ms; when it was done two were left, of which nothing is known yet but what is near.
  assert.deepEqual(await first, { requestsInFlight: 2, latencyMs: 10 });
  assert.deepEqual(await second, { requestsInFlight: 1, latencyMs: 30 });
  assert.deepEqual(await third, { requestsInFlight: 0, latencyMs: 10 });
  assert.deepEqual(await probe(), { requestsInFlight: 0, latencyMs: 10 });
});

test("latencies are told apart by calls in flight, one by one while they are few", async () => {
  const { clock, call, probe } = server();
  // Ten at once, again and again, each taking 10 ms more than the one before.
  for (let round = 0; round < 32; round++) {
    const calls = Array.from({ length: 10 }, (_, i) => call(10 * (i + 1)));
    await clock.run(200);
    await Promise.all(calls);
  }
  for (const n of [0, 1, 4, 7, 9]) {
    const calls = Array.from({ length: n }, () => call(1000));
    assert.deepEqual(await probe(), { requestsInFlight: n, latencyMs: 10 * (n + 1) });
    await clock.run(1000);
    await Promise.all(calls);
    // What has just been learnt goes under again.
    for (let round = 0; round < 32; round++) {
      const again = Array.from({ length: 10 }, (_, i) => call(10 * (i + 1)));
      await clock.run(200);
      await Promise.all(again);
    }
  }
});

test("of the last 32 latencies that go with as many in flight the median is told", async () => {
  const { clock, call, probe } = server();
  const random = seededRandom(4);
  const took: number[] = [];
  for (let i = 0; i < 300; i++) {
    const ms = randomInt(random, 40);
    const pending = call(ms);
    await clock.run(ms);
    await pending;
    took.push(ms);
    const last = took.slice(-32).sort((a, b) => a - b);
    assert.equal((await probe()).latencyMs, last[last.length >> 1]);
  }
});

test("calls that fail are counted in flight, and make nothing look fast", async () => {
  const { clock, call, probe } = server();
  const slow = call(50);
  await clock.run(50);
  await slow;
  assert.deepEqual(await call("fail"), { requestsInFlight: 0, latencyMs: 50 });
  assert.deepEqual(await probe(), { requestsInFlight: 0, latencyMs: 50 });
});

test("any number in flight has its class", async () => {
  const { clock, call, probe } = server();
  const calls = Array.from({ length: 9000 }, () => call(5));
  assert.equal((await probe()).requestsInFlight, 9000);
  await clock.run(5);
  await Promise.all(calls);
  assert.deepEqual(await probe(), { requestsInFlight: 0, latencyMs: 5 });
});

test("streams pass as they are", () => {
  const next: Endpoint = async () => undefined;
  assert.equal(server().middleware(next, { ...unary, kind: "server_stream" }), next);
});
