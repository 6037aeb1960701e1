import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { seededRandom } from "../clock/random.ts";
import { pass } from "../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { afterFunc, background, remainingMs, withCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { RetryOptions } from "../resilience/retry.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf } from "../testing/transport-bed.ts";
import { memory } from "../transport/memory/memory.ts";
import { channel, client } from "./channel.ts";
import { host } from "./host.ts";
import { implement } from "./implement.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", {
  do: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});

/** A system of hosts on one virtual clock: as many replicas as there are handlers. */
async function system(
  handlers: readonly ((ctx: Context, request: { n: number }) => Promise<{ n: number }>)[],
  retry: RetryOptions = {},
) {
  const clock = new VirtualClock();
  const net = memory();
  const registry = new TestRegistry();
  const hosts = await Promise.all(
    handlers.map((handler, i) =>
      host({
        name: `work-${i}`,
        serve: [
          implement(Work, {
            do: handler,
            async *list(_ctx, { n }) {
              for (let i = 1; i <= n; i++) yield { n: i };
            },
          }),
        ],
        listen: [net.listener(`work-${i}`)],
        register: registry,
        admin: false,
        clock,
        onEvent() {},
        onError() {},
      }).start(),
    ),
  );
  const over = channel({ discover: registry, transport: net, clock, random: seededRandom(11), retry });
  return { clock, ctx: background(clock), hosts, over, registry, work: client(Work, over) };
}

describe("a deadline with retries", () => {
  test("100 ms stay 100 ms though every attempt is slow and fails, and no handler goes on", async () => {
    const running = new Set<Context>();
    let begun = 0;
    const slow = async (ctx: Context): Promise<never> => {
      begun++;
      running.add(ctx);
      void afterFunc(ctx, () => running.delete(ctx));
      await sleep(ctx, 60);
      throw new ServiceError("unavailable", "busy");
    };
    const { clock, ctx, work } = await system([slow, slow, slow]);
    const startedMs = clock.now();
    const error = await pass(clock, failureOf(work.do(withTimeout(ctx, 100), { n: 1 })));
    const took = clock.now() - startedMs;
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(took <= 105, `took ${took} ms`);
    assert.equal(begun, 2);
    assert.equal(running.size, 0, "every handler's context is done");
  });

  test("nor do they become more by what each attempt may take, nor by the waits between: 4 attempts of 80 ms, 100 ms in all", async () => {
    const ended: string[] = [];
    const begun: number[] = [];
    const hanging = async (ctx: Context): Promise<never> => {
      begun.push(clock.now());
      await sleep(ctx, 10_000).catch(() => ended.push(`${ctx.err?.code} at ${Math.floor(clock.now() / 5) * 5}`));
      throw ctx.err!;
    };
    const options = { maxAttempts: 4, perTryTimeoutMs: 80, baseMs: 30, maxMs: 30 };
    const { clock, ctx, work } = await system([hanging, hanging, hanging, hanging], options);
    const error = await pass(clock, failureOf(work.do(withTimeout(ctx, 100), { n: 1 })));
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(clock.now() <= 105, `took ${clock.now()} ms`);
    await clock.advance(5000);
    assert.ok(begun.length >= 1 && begun.every((at) => at <= 100), `handlers began at ${begun.join()}`);
    assert.equal(ended.length, begun.length, "every handler is cancelled");
    assert.ok(
      ended.every((how) => / at (?:80|100)$/.test(how)),
      ended.join(),
    );
  });

  test("an attempt that hangs is ended with the deadline, its handler cancelled", async () => {
    let canceled = false;
    const { clock, ctx, work } = await system([
      (inner) =>
        new Promise((_resolve, reject) => {
          void afterFunc(inner, () => {
            canceled = true;
            reject(inner.err!);
          });
        }),
    ]);
    const error = await pass(clock, failureOf(work.do(withTimeout(ctx, 100), { n: 1 })));
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(clock.now() <= 105, `took ${clock.now()} ms`);
    assert.equal(canceled, true);
  });

  test("the next attempt goes to another instance while one is left", async () => {
    const asked: number[] = [];
    const busy = (i: number) => async (): Promise<never> => {
      asked.push(i);
      throw new ServiceError("unavailable", "busy");
    };
    const { clock, ctx, work } = await system([busy(0), busy(1), busy(2)]);
    // Ten retries, as the budget's floor has it.
    for (let i = 0; i < 5; i++) {
      asked.length = 0;
      await pass(clock, failureOf(work.do(ctx, { n: 1 })));
      assert.deepEqual(
        asked.toSorted((a, b) => a - b),
        [0, 1, 2],
      );
    }
  });
});

describe("over several hops", () => {
  const hops = 4;

  /** A chain of hosts, each of which works for 20 ms and then calls the next; the last one hangs. */
  async function chainOfHosts() {
    const clock = new VirtualClock();
    const net = memory();
    const seen: Context[] = [];
    const left: number[] = [];
    const closing: (() => Promise<void>)[] = [];
    for (let i = hops - 1; i >= 0; i--) {
      const next = client(Work, { discover: [`memory://hop-${i + 1}`], transport: net, clock });
      const running = await host({
        name: `hop-${i}`,
        serve: [
          implement(Work, {
            async do(ctx, request) {
              seen[i] = ctx;
              left[i] = remainingMs(ctx);
              if (i === hops - 1) return new Promise((_, reject) => void afterFunc(ctx, () => reject(ctx.err!)));
              await sleep(ctx, 20);
              return next.do(ctx, request);
            },
            async *list() {},
          }),
        ],
        listen: [net.listener(`hop-${i}`)],
        admin: false,
        clock,
        onEvent() {},
        onError() {},
      }).start();
      closing.push(async () => {
        await pass(clock, running.stop());
        await next[Symbol.asyncDispose]();
      });
    }
    const first = client(Work, { discover: ["memory://hop-0"], transport: net, clock });
    return { clock, ctx: background(clock), seen, left, first, closing };
  }

  test("the time left crosses each, less what was spent; when it is over all have ended", async () => {
    const { clock, ctx, seen, left, first, closing } = await chainOfHosts();
    const error = await pass(clock, failureOf(first.do(withTimeout(ctx, 200), { n: 1 })));
    assert.equal(error.code, "deadline_exceeded");
    assert.ok(clock.now() <= 230, `ended after ${clock.now()} ms`);
    for (const [i, ms] of left.entries()) {
      // Whole milliseconds cross, rounded down.
      assert.ok(ms <= 200 - i * 20 && ms > 200 - i * 20 - 8, `${ms} ms are left at hop ${i}`);
    }
    assert.equal(seen.length, hops);
    for (const inner of seen) assert.equal(inner.err?.code, "deadline_exceeded");
    for (const close of closing) await close();
  });

  test("a call that is abandoned is cancelled all the way down, at once", async () => {
    const { clock, ctx, seen, first, closing } = await chainOfHosts();
    const call = withCancel(ctx);
    const failure = failureOf(first.do(call, { n: 1 }));
    await clock.advance(70);
    assert.equal(seen.length, hops);
    for (const inner of seen) assert.equal(inner.err, undefined);
    call.cancel();
    assert.equal((await failure).code, "canceled");
    await clock.advance(0);
    for (const inner of seen) assert.equal(inner.err?.code, "canceled");
    for (const close of closing) await close();
  });
});

test("a host that stops under load loses no call, and one that comes is used", async () => {
  const answer = async (ctx: Context, request: { n: number }): Promise<{ n: number }> => {
    await sleep(ctx, 5);
    return request;
  };
  const { clock, ctx, work, hosts, over } = await system([answer, answer]);
  let going = true;
  let calls = 0;
  const load = Promise.all(
    Array.from({ length: 20 }, async () => {
      while (going) {
        await work.do(ctx, { n: 1 });
        calls++;
      }
    }),
  );
  await clock.advance(100);
  await pass(clock, hosts[0]!.stop());
  assert.equal(over.instances(Work.name).length, 1);
  await clock.advance(100);
  going = false;
  await pass(clock, load);
  assert.ok(calls > 1000, `only ${calls} calls`);
  await pass(clock, hosts[1]!.stop());
  await over.close();
  await clock.advance(60_000);
  assert.equal(clock.pending, 0, "no timer is left");
});
