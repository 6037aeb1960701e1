import assert from "node:assert/strict";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { CancelContext, Context } from "../context/context.ts";
import { afterFunc, background, remainingMs, withCancel, withTimeout } from "../context/with.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import {
  failureOf,
  Handover,
  type Note,
  readAll,
  streamOf,
  streamTest,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

const nothing = { n: 0, text: "" };

/** Resolves with the error of the context once it is done. */
function ended(ctx: Context): Promise<ServiceError> {
  return new Promise((resolve) => void afterFunc(ctx, () => resolve(ctx.err!)));
}

async function* stalling(ctx: Context): AsyncGenerator<Note> {
  yield nothing;
  await ended(ctx);
  throw ctx.err!;
}

/** Deadline, cancellation and early exit, from either side. */
export function endTests(under: TransportUnderTest): ContractTest[] {
  let begun: Handover<Context>;
  let cleaned: boolean;
  let called: number;
  const stuck = new Handover<void>();
  const hang = async (ctx: Context): Promise<never> => {
    begun.set(ctx);
    throw await ended(ctx);
  };
  const afterBegun = (body: Parameters<typeof transportTest>[3]): Parameters<typeof transportTest>[3] => {
    return async (bed) => {
      begun = new Handover();
      await body(bed);
    };
  };

  return [
    transportTest(
      "the deadline crosses: the handler's is not later than the caller's",
      under,
      () => ({ one: (ctx) => ({ n: remainingMs(ctx), text: "" }) }),
      async ({ client, ctx }) => {
        const { n } = await client.one(withTimeout(ctx, 5000), nothing);
        assert.ok(n > 0 && n <= 5000, `${n} ms are left of 5000`);
      },
    ),
    transportTest(
      "a deadline that passes fails the call in time, and ends the handler's context",
      under,
      () => ({ one: hang }),
      afterBegun(async ({ client, ctx, listening }) => {
        const { clock } = ctx;
        const startedMs = clock.now();
        const error = await failureOf(client.one(withTimeout(ctx, 60), nothing));
        assert.equal(error.code, "deadline_exceeded");
        const took = clock.now() - startedMs;
        assert.ok(took >= 58 && took < 1000, `60 ms took ${took} ms`);
        const handler = await begun.value;
        await until("the handler's context is done", () => handler.err !== undefined);
        await until("no call is in flight", () => listening.inFlight === 0);
      }),
    ),
    ...streamTest(
      "a deadline that passes fails the reader of a stream",
      under,
      () => ({ many: stalling }),
      async ({ client, ctx, listening }) => {
        const error = await failureOf(readAll(client.many(withTimeout(ctx, 60), nothing)));
        assert.equal(error.code, "deadline_exceeded");
        await until("no call is in flight", () => listening.inFlight === 0);
      },
    ),
    transportTest(
      "a handler that minds no deadline does not hold its caller",
      under,
      () => ({
        async one() {
          await stuck.value;
          return nothing;
        },
      }),
      async ({ client, ctx, listening }) => {
        const error = await failureOf(client.one(withTimeout(ctx, 60), nothing));
        assert.equal(error.code, "deadline_exceeded");
        await until("no call is in flight", () => listening.inFlight === 0);
        stuck.set();
      },
    ),
    transportTest(
      "cancelling fails the call at once as canceled, and cancels the handler's context",
      under,
      () => ({ one: hang }),
      afterBegun(async ({ client, ctx, listening }) => {
        const call = withCancel(ctx);
        const failure = failureOf(client.one(call, nothing));
        const handler = await begun.value;
        call.cancel(new Error("changed my mind"));
        assert.equal((await failure).code, "canceled");
        if (under.hears === false) return;
        assert.equal((await ended(handler)).code, "canceled");
        await until("no call is in flight", () => listening.inFlight === 0);
      }),
    ),
    ...streamTest(
      "cancelling fails the reader of a stream, and cancels the handler's context",
      under,
      () => ({
        many(ctx) {
          begun.set(ctx);
          return stalling(ctx);
        },
      }),
      afterBegun(async ({ client, ctx, listening }) => {
        const call = withCancel(ctx);
        const stream = client.many(call, nothing)[Symbol.asyncIterator]();
        await stream.next();
        const failure = failureOf(stream.next());
        call.cancel();
        assert.equal((await failure).code, "canceled");
        assert.equal((await ended(await begun.value)).code, "canceled");
        await until("no call is in flight", () => listening.inFlight === 0);
      }),
    ),
    ...streamTest(
      "a reader that stops early ends the handler, its finally blocks included",
      under,
      () => ({
        async *many(ctx) {
          try {
            begun.set(ctx);
            for (let n = 0; ctx.err === undefined; n++) {
              yield { n, text: "" };
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            cleaned = true;
          }
        },
      }),
      afterBegun(async ({ client, ctx, listening }) => {
        cleaned = false;
        for await (const { n } of client.many(ctx, nothing)) if (n === 5) break;
        assert.equal((await ended(await begun.value)).code, "canceled");
        await until("the handler has cleaned up", () => cleaned);
        await until("no call is in flight", () => listening.inFlight === 0);
      }),
    ),
    ...streamTest(
      "a caller's stream that fails fails its call with that very error, and cancels the handler's context",
      under,
      () => ({
        async collect(ctx, requests) {
          begun.set(ctx);
          for await (const _ of requests);
          return nothing;
        },
      }),
      afterBegun(async ({ client, ctx, listening }) => {
        const broken = new Error("my own stream broke");
        const requests = async function* (): AsyncGenerator<Note> {
          yield nothing;
          await begun.value;
          throw broken;
        };
        await assert.rejects(client.collect(ctx, requests()), (error) => error === broken);
        assert.equal((await ended(await begun.value)).code, "canceled");
        await until("no call is in flight", () => listening.inFlight === 0);
      }),
    ),
    ...streamTest(
      "a handler that answers before the end of its requests ends the caller's stream",
      under,
      () => ({
        async collect(_ctx, requests) {
          for await (const request of requests) if (request.n === 3) return request;
          return nothing;
        },
      }),
      async ({ client, ctx, listening }) => {
        let left = false;
        const endless = async function* (): AsyncGenerator<Note> {
          try {
            for (let n = 1; ; n++) {
              yield { n, text: "" };
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            left = true;
          }
        };
        assert.equal((await client.collect(ctx, endless())).n, 3);
        await until("the caller's generator is closed", () => left);
        await until("no call is in flight", () => listening.inFlight === 0);
      },
    ),
    transportTest(
      "a call whose context is done already is not sent",
      under,
      () => ({ one: () => assert.fail("called"), many: () => assert.fail("called") }),
      async ({ client, ctx }) => {
        const canceled: CancelContext = withCancel(ctx);
        canceled.cancel();
        assert.equal((await failureOf(client.one(canceled, nothing))).code, "canceled");
        if (under.streams !== false) {
          assert.equal((await failureOf(readAll(client.many(canceled, nothing)))).code, "canceled");
        }
        assert.equal((await failureOf(client.one(withTimeout(ctx, 0), nothing))).code, "deadline_exceeded");
      },
    ),
    transportTest(
      "a call that arrives out of time reaches no handler",
      under,
      () => {
        called = 0;
        const work = (): Note => {
          called++;
          return nothing;
        };
        return { one: work, many: () => streamOf([work()]), collect: async () => work() };
      },
      async ({ client, listening }) => {
        // Time stands still for the caller: it has less left than any transport can say, which is none on the wire.
        const late = withTimeout(background(new VirtualClock()), 1e-7);
        assert.equal((await failureOf(client.one(late, nothing))).code, "deadline_exceeded");
        if (under.streams !== false) {
          assert.equal((await failureOf(readAll(client.many(late, nothing)))).code, "deadline_exceeded");
          assert.equal((await failureOf(client.collect(late, streamOf([nothing])))).code, "deadline_exceeded");
        }
        await until("no call is in flight", () => listening.inFlight === 0);
        assert.equal(called, 0);
      },
    ),
    transportTest(
      "the handler's context ends with its call",
      under,
      () => ({
        one(ctx) {
          begun.set(ctx);
          return nothing;
        },
      }),
      afterBegun(async ({ client, ctx }) => {
        await client.one(ctx, nothing);
        const handler = await begun.value;
        await until("the handler's context is done", () => handler.err !== undefined);
      }),
    ),
  ];
}
