import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { bidiStream, serverStream } from "../contract/method.ts";
import type { Connector, Listener } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { circuitBreaker } from "../resilience/breaker/circuit-breaker.ts";
import { consecutive } from "../resilience/breaker/trip.ts";
import { clientThrottle } from "../resilience/client-throttle.ts";
import { OVERLOADED, refusal } from "../resilience/refusal.ts";
import { failureOf, readAll, streamOf } from "../testing/transport-bed.ts";
import { grpcClient } from "../transport/grpc/client.ts";
import { grpc } from "../transport/grpc/server.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { memory } from "../transport/memory/memory.ts";
import { client } from "./channel.ts";
import { host } from "./host.ts";
import { implement } from "./implement.ts";

const message = z.object({ n: z.number() });
const Feed = contract("feed.v1.Feed", {
  list: serverStream({ input: message, output: message, idempotent: true }),
  chat: bidiStream({ input: message, output: message }),
});
const net = memory();
const transports: [string, () => Listener, Connector, bidi?: boolean][] = [
  ["Connect over HTTP/1.1", () => http(), httpClient(), false],
  ["Connect over HTTP/2", () => http(), httpClient({ http2: true })],
  ["gRPC", () => grpc(), grpcClient()],
  ["memory", () => net.listener("feed"), net],
];

for (const [name, listener, transport, bidi = true] of transports) {
  test(`${name}: a stream whose first word is its failure has not begun: it is tried again, and policies take it for a call that failed`, async () => {
    let failure: ServiceError | undefined;
    let calls = 0;
    async function* answer(): AsyncGenerator<{ n: number }> {
      calls++;
      const error = failure;
      if (calls % 2 === 1 && error !== undefined) throw error;
      yield { n: 1 };
    }
    const running = await host({
      name: "feed",
      serve: [implement(Feed, { list: () => answer(), chat: () => answer() })],
      listen: [listener()],
      admin: false,
      onEvent() {},
    }).start();
    const throttle = clientThrottle({ floor: 0, ratio: 1.1, random: { next: () => 0.99 } });
    const breaker = circuitBreaker({ trip: consecutive(1) });
    const feed = client(Feed, {
      discover: [running.addresses[0]!],
      transport,
      throttle: false,
      use: [breaker, throttle],
      retry: { baseMs: 0 },
    });
    const ctx = background();
    const one = { n: 1 };
    try {
      failure = new ServiceError("unavailable", "not now");
      assert.deepEqual(await readAll(feed.list(ctx, one)), [one]);
      assert.equal(calls, 2);

      failure = refusal("unavailable", OVERLOADED, "too much", { never: true });
      assert.equal((await failureOf(readAll(feed.list(ctx, one)))).message, "too much");
      assert.ok(throttle.services.find(({ priority }) => priority === "default")!.refusing > 0.1);

      if (!bidi) return;
      calls = 0;
      failure = new ServiceError("internal", "broken");
      await failureOf(readAll(feed.chat(ctx, streamOf([]))));
      assert.equal(breaker.breakers.find(({ name: of }) => of === "feed.v1.Feed/chat")!.state, "open");
    } finally {
      await feed[Symbol.asyncDispose]();
      await running.stop();
    }
  });
}
