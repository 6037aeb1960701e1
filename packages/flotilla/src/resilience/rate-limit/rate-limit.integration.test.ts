import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { background } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import { fixed } from "../../discovery/fixed.ts";
import { detailTypes, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { withResponseObserver } from "../../metadata/call.ts";
import { client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import { implement } from "../../service/implement.ts";
import { http } from "../../transport/http/server.ts";
import { byHeader } from "./keys.ts";
import { type RateLimitOptions, rateLimit } from "./rate-limit.ts";

const Port = contract("port.v1.Port", {
  berth: unary({
    input: z.object({ ship: z.string() }),
    output: z.object({ berth: z.number() }),
    rest: { route: "GET /berths/{ship}" },
    idempotent: true,
    safe: true,
  }),
  tides: serverStream({ input: z.object({}), output: z.object({ level: z.number() }) }),
});

async function serve(t: TestContext, options: RateLimitOptions): Promise<string> {
  const service = implement(
    Port,
    {
      async berth() {
        return { berth: 7 };
      },
      async *tides() {
        yield { level: 1 };
      },
    },
    { use: [rateLimit(options)] },
  );
  const running = await host({
    name: "port",
    serve: [service],
    listen: [http({ port: 0 })],
    admin: false,
    onEvent: () => {},
  }).start();
  t.after(() => running.stop());
  return running.addresses[0]!;
}

const slow = { limit: 2, windowMs: 60_000 };
const policyField = '"default";q=2;w=60';

describe("what callers over HTTP are told", () => {
  test("Connect: 429 with Retry-After and the fields of the limit, which answers before carried, too", async (t) => {
    const address = await serve(t, slow);
    const call = () =>
      fetch(`${address}/port.v1.Port/berth`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"ship":"a"}',
      });
    const first = await call();
    assert.deepEqual([first.status, await first.json()], [200, { berth: 7 }]);
    assert.equal(first.headers.get("ratelimit-policy"), policyField);
    assert.equal(first.headers.get("ratelimit"), '"default";r=1;t=30');
    assert.equal(first.headers.get("retry-after"), null);
    await (await call()).text();
    const third = await call();
    assert.equal(third.status, 429);
    assert.equal(third.headers.get("ratelimit-policy"), policyField);
    assert.equal(third.headers.get("ratelimit"), '"default";r=0;t=30');
    assert.equal(third.headers.get("retry-after"), "30");
    const error = (await third.json()) as { code: string; message: string };
    assert.deepEqual([error.code, error.message], ["resource_exhausted", 'over rate limit "default" of 2 per 60 s']);
  });

  test("a REST route: 429 as problem+json with the same fields", async (t) => {
    const address = await serve(t, slow);
    for (const left of [1, 0]) {
      const answer = await fetch(`${address}/berths/a`);
      assert.deepEqual([answer.status, await answer.json()], [200, { berth: 7 }]);
      assert.equal(answer.headers.get("ratelimit"), `"default";r=${left};t=30`);
    }
    const refused = await fetch(`${address}/berths/a`);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get("content-type"), "application/problem+json");
    assert.equal(refused.headers.get("retry-after"), "30");
    assert.equal(refused.headers.get("ratelimit-policy"), policyField);
    assert.equal(refused.headers.get("ratelimit"), '"default";r=0;t=30');
    const problem = (await refused.json()) as Record<string, unknown>;
    assert.deepEqual([problem["status"], problem["code"]], [429, "resource_exhausted"]);
  });

  test("who is who: a header", async (t) => {
    const address = await serve(t, { ...slow, burst: 1, key: byHeader("x-api-key") });
    const status = async (key: string): Promise<number> => {
      const answer = await fetch(`${address}/berths/a`, { headers: { "x-api-key": key } });
      await answer.text();
      return answer.status;
    };
    assert.deepEqual([await status("a"), await status("a"), await status("b")], [200, 429, 200]);
  });

  test("a client of ours sees the time to wait, the reason and the fields, also on a stream", async (t) => {
    const address = await serve(t, slow);
    const port = client(Port, { discover: fixed([address]) });
    t.after(() => port[Symbol.asyncDispose]());
    const seen: (string | undefined)[] = [];
    const ctx = withResponseObserver(background(), (headers) => void seen.push(headers.get("ratelimit")));
    await port.berth(ctx, { ship: "a" });
    const levels: number[] = [];
    for await (const { level } of port.tides(ctx, {})) levels.push(level);
    assert.deepEqual([levels, seen], [[1], ['"default";r=1;t=30', '"default";r=0;t=30']]);
    const check = (error: unknown): boolean => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, "resource_exhausted");
      assert.ok(error.retry!.afterMs! > 29_000 && error.retry!.afterMs! <= 30_000);
      assert.equal(findDetail<{ reason: string }>(error, detailTypes.errorInfo)?.reason, "RATE_LIMITED");
      return true;
    };
    await assert.rejects(port.berth(ctx, { ship: "a" }), check);
    await assert.rejects(async () => {
      for await (const { level } of port.tides(ctx, {})) levels.push(level);
    }, check);
    assert.deepEqual(levels, [1]);
  });
});
