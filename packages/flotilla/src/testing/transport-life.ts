import assert from "node:assert/strict";
import { afterFunc } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import {
  failureOf,
  Handover,
  hearingTest,
  readAll,
  streamTest,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

const nothing = { n: 0, text: "" };

/** How listeners and connections end. */
export function lifeTests(under: TransportUnderTest): ContractTest[] {
  let begun: Handover<void>;
  let go: Handover<void>;
  let cause: unknown;
  const methods = (): Parameters<typeof transportTest>[2] extends () => infer M ? M : never => {
    begun = new Handover();
    go = new Handover();
    cause = undefined;
    return {
      async one(ctx, { n }) {
        if (n === 0) return nothing;
        begun.set();
        await new Promise<void>((resolve, reject) => {
          void afterFunc(ctx, () => {
            cause = ctx.cause;
            reject(ctx.err!);
          });
          void go.value.then(resolve);
        });
        return { n, text: "done" };
      },
      async *many(ctx) {
        yield nothing;
        begun.set();
        await Promise.race([go.value, new Promise<void>((resolve) => void afterFunc(ctx, resolve))]);
        yield { n: 1, text: "done" };
      },
    };
  };
  const slow = { n: 1, text: "" };

  return [
    ...hearingTest("calls in flight are counted", under, methods, async ({ client, ctx, listening }) => {
      assert.equal(listening.inFlight, 0);
      const answer = client.one(ctx, slow);
      await begun.value;
      assert.equal(listening.inFlight, 1);
      go.set();
      await answer;
      await until("no call is in flight", () => listening.inFlight === 0);
    }),
    transportTest("a discouraged listener still serves", under, methods, async ({ client, ctx, listening }) => {
      await client.one(ctx, nothing);
      listening.discourage();
      listening.discourage();
      assert.deepEqual(await client.one(ctx, nothing), nothing);
      assert.deepEqual(await client.one(ctx, nothing), nothing);
    }),
    ...hearingTest(
      "draining lets calls in flight finish, and accepts no more",
      under,
      methods,
      async ({ client, ctx, listening }) => {
        const answer = client.one(ctx, slow);
        await begun.value;
        let drained = false;
        const draining = listening.drain().then(() => {
          drained = true;
        });
        // What is on its way when it begins may still be served.
        const refused = async (): Promise<ServiceError> => {
          for (;;) {
            const failed = await client.one(ctx, nothing).then(
              () => undefined,
              (error: unknown) => ServiceError.from(error),
            );
            if (failed !== undefined) return failed;
          }
        };
        assert.equal((await refused()).code, "unavailable");
        assert.equal(drained, false);
        go.set();
        assert.deepEqual(await answer, { n: 1, text: "done" });
        await draining;
        await listening.drain();
        assert.equal(listening.inFlight, 0);
        const error = await failureOf(client.one(ctx, nothing));
        assert.equal(error.code, "unavailable");
        assert.equal(error.retry?.unprocessed, true, "nobody is there: another attempt does nothing twice");
      },
    ),
    ...streamTest("draining waits for streams", under, methods, async ({ client, ctx, listening }) => {
      const reading = readAll(client.many(ctx, nothing));
      await begun.value;
      const draining = listening.drain();
      go.set();
      assert.equal((await reading).length, 2);
      await draining;
    }),
    ...hearingTest(
      "closing cancels what still runs, with the cause given, and the client hears of it",
      under,
      methods,
      async ({ client, ctx, listening }) => {
        const failure = failureOf(client.one(ctx, slow));
        await begun.value;
        const why = new ServiceError("unavailable", "the server is shutting down");
        await listening.close(why);
        await listening.close(why);
        assert.equal((await failure).code, "unavailable");
        assert.equal(cause, why);
        assert.equal(listening.inFlight, 0);
      },
    ),
    transportTest(
      "a connection that drains lets its calls finish, then refuses",
      under,
      methods,
      async ({ client, ctx, connection }) => {
        const answer = client.one(ctx, slow);
        await begun.value;
        const draining = connection.drain();
        go.set();
        assert.deepEqual(await answer, { n: 1, text: "done" });
        await draining;
        const error = await failureOf(client.one(ctx, nothing));
        assert.equal(error.code, "unavailable");
        assert.equal(error.retry?.unprocessed, true, "nothing was sent: another attempt does nothing twice");
      },
    ),
    transportTest(
      "a connection that closes fails its calls as unavailable, and cancels the handlers",
      under,
      methods,
      async ({ client, ctx, connection, listening }) => {
        const failure = failureOf(client.one(ctx, slow));
        await begun.value;
        await connection.close();
        assert.equal((await failure).code, "unavailable");
        if (under.hears === false) return go.set();
        await until("the handler's context is done", () => cause !== undefined);
        await until("no call is in flight", () => listening.inFlight === 0);
      },
    ),
  ];
}
