// A deadline is one for the whole call, over real HTTP as in virtual time (system.test.ts): what each attempt may take, and the waits
// between, come out of it.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { systemClock } from "../clock/system-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { RetryOptions } from "../resilience/retry.ts";
import { until } from "../testing/discovery-recorder.ts";
import { type FaultProxy, faultProxy } from "../testing/fault-proxy.ts";
import { failureOf } from "../testing/transport-bed.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { client } from "./channel.ts";
import { host } from "./host.ts";
import { implement } from "./implement.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message, idempotent: true }) });

const DEADLINE_MS = 100;
/** What a busy machine may add. */
const SLACK_MS = 400;

/** Four replicas of one handler, behind a proxy each. */
async function open(t: TestContext, handler: (ctx: Context) => Promise<never>, retry: RetryOptions, http2: boolean) {
  const begun: number[] = [];
  const running = new Set<Context>();
  const counted = async (ctx: Context): Promise<never> => {
    begun.push(systemClock.now());
    running.add(ctx);
    try {
      return await handler(ctx);
    } finally {
      running.delete(ctx);
    }
  };
  const proxies: FaultProxy[] = [];
  for (let i = 0; i < 4; i++) {
    const serving = await host({
      name: `work-${i}`,
      serve: [implement(Work, { do: counted })],
      listen: [http()],
      admin: false,
      onEvent() {},
    }).start();
    t.after(() => serving.stop());
    const proxy = await faultProxy({ to: serving.addresses[0]! });
    t.after(() => proxy.close());
    proxies.push(proxy);
  }
  const work = client(Work, {
    discover: proxies.map(({ address }) => address),
    transport: httpClient({ http2 }),
    retry: { maxAttempts: 4, ...retry },
  });
  t.after(() => work[Symbol.asyncDispose]());
  return { proxies, begun, running, work };
}

const hanging = async (ctx: Context): Promise<never> => {
  await sleep(ctx, 60_000);
  throw new Error("not cancelled in a minute");
};
const failing = async (ctx: Context): Promise<never> => {
  await sleep(ctx, 60);
  throw new ServiceError("unavailable", "busy");
};

for (const http2 of [false, true]) {
  describe(`over HTTP/${http2 ? "2" : "1.1"}`, () => {
    for (const [name, handler, retry] of [
      ["handlers that hang", hanging, {}],
      ["handlers that hang, and 80 ms for each of 4 attempts", hanging, { perTryTimeoutMs: 80, baseMs: 30 }],
      ["handlers that fail after 60 ms, and waits between", failing, { baseMs: 50 }],
    ] as const) {
      test(`100 ms are 100 ms: ${name}`, async (t) => {
        const { begun, running, work } = await open(t, handler, retry, http2);
        const startedMs = systemClock.now();
        const error = await failureOf(work.do(withTimeout(background(), DEADLINE_MS), { n: 1 }));
        const tookMs = systemClock.now() - startedMs;
        assert.ok(error.code === "deadline_exceeded" || error.message === "busy", `${error.code}: ${error.message}`);
        assert.ok(tookMs <= DEADLINE_MS + SLACK_MS, `took ${tookMs} ms`);
        await until("every handler is cancelled", () => running.size === 0, SLACK_MS);
        await sleep(background(), SLACK_MS);
        // What was on its way at the end may still begin, and ends as it does; nothing more is tried.
        assert.equal(running.size, 0);
        for (const at of begun) assert.ok(at - startedMs <= DEADLINE_MS + SLACK_MS, `began after ${at - startedMs} ms`);
      });
    }

    test("100 ms are 100 ms: a network that answers nothing, and handlers that hear of the deadline all the same", async (t) => {
      const { proxies, running, begun, work } = await open(t, hanging, { perTryTimeoutMs: 40 }, http2);
      for (const proxy of proxies) proxy.inject({ direction: "toClient", blackhole: true });
      const startedMs = systemClock.now();
      const call = failureOf(work.do(withTimeout(background(), DEADLINE_MS), { n: 1 }));
      await until("a handler runs", () => begun.length > 0, SLACK_MS);
      // Cancelling does not get through, so that the handlers have only the deadline that came with the call.
      for (const proxy of proxies) proxy.inject({ direction: "toServer", blackhole: true });
      const error = await call;
      const tookMs = systemClock.now() - startedMs;
      assert.equal(error.code, "deadline_exceeded");
      assert.ok(tookMs <= DEADLINE_MS + SLACK_MS, `took ${tookMs} ms`);
      await until("every handler is done", () => running.size === 0, SLACK_MS);
    });
  });
}
