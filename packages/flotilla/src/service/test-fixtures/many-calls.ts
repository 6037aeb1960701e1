// Makes very many calls through all that stands around a call by default and some that does not, of every fate there is, on a virtual
// clock, and prints what is left of them. A process of its own (`--expose-gc`): a test runner follows every promise, which takes long.
import { getEventListeners } from "node:events";
import { z } from "zod";
import { seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { afterFunc, background, withCancel, withTimeout } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { clientStream, serverStream, unary } from "../../contract/method.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { withPriority } from "../../metadata/priority.ts";
import { circuitBreaker } from "../../resilience/breaker/circuit-breaker.ts";
import { responseCache } from "../../resilience/reuse/response-cache.ts";
import { singleFlight } from "../../resilience/reuse/single-flight.ts";
import { telemetry } from "../../telemetry/telemetry.ts";
import { TestRegistry } from "../../testing/test-registry.ts";
import { memory } from "../../transport/memory/memory.ts";
import { channel, client } from "../channel.ts";
import { serverDefaults } from "../defaults.ts";
import { host } from "../host.ts";
import { implement } from "../implement.ts";

/** What is asked of this process. */
export interface Asked {
  /** Calls before the heap is looked at first, for everything to have its size. */
  readonly warmUp: number;
  /** Calls before it is looked at again, and how often. */
  readonly calls: number;
  readonly rounds: number;
}

/** What it says. */
export interface Left {
  /** Bytes in use after the warm-up and after each round. */
  readonly heaps: readonly number[];
  readonly timers: number;
  readonly listeners: number;
  readonly children: number;
  readonly inFlight: number;
  /** What kept the event loop alive when all was closed. */
  readonly resources: readonly string[];
  /** What became of the calls, by code. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Sums of the counters of policies, over all their series. */
  readonly counters: Readonly<Record<string, number>>;
}

const message = z.object({ n: z.number() });
type Message = z.infer<typeof message>;
const Work = contract("test.v1.Work", {
  do: unary({ input: message, output: message, idempotent: true, safe: false }),
  once: unary({ input: message, output: message }),
  read: unary({ input: message, output: message, safe: true }),
  list: serverStream({ input: message, output: message }),
  sum: clientStream({ input: message, output: message }),
});
const INSTANCES = 3;
/** Calls that begin together, one such batch a millisecond. */
const BATCH = 20;
const FATES = 40;

const random = seededRandom(3);
const clock = new VirtualClock();
const net = memory();
const registry = new TestRegistry();
const observed = telemetry({ env: {}, clock, random, logs: false, metrics: { process: false } });
let broken = -1;

function handler(instance: number) {
  const answer = async (ctx: Context, request: Message): Promise<Message> => {
    if (instance === broken) throw new ServiceError("unavailable", "broken");
    switch (request.n % FATES) {
      case 0:
        throw new ServiceError(random.next() < 0.5 ? "unavailable" : "not_found", "by chance");
      case 1:
        await sleep(ctx, 2);
        return request;
      case 2:
        // Slow by chance: another instance may well be faster.
        await sleep(ctx, random.next() < 0.5 ? 60 : 1);
        return request;
      case 3:
        return new Promise((_, reject) => void afterFunc(ctx, () => reject(ctx.err!)));
      default:
        return request;
    }
  };
  return implement(Work, {
    do: answer,
    once: async (ctx, request) => {
      await sleep(ctx, 4);
      return request;
    },
    read: async (ctx, request) => {
      await sleep(ctx, 4);
      return request;
    },
    async *list(_ctx, { n }) {
      for (let i = 0; i < n % 5; i++) yield { n: i };
    },
    async sum(_ctx, requests) {
      let total = 0;
      for await (const { n } of requests) total += n;
      return { n: total };
    },
  });
}

const hosts = await Promise.all(
  Array.from({ length: INSTANCES }, (_, i) =>
    host({
      name: `work-${i}`,
      serve: [handler(i)],
      listen: [net.listener(`work-${i}`)],
      register: registry,
      use: serverDefaults({ clock, limit: { limit: 60, maxQueued: 20 } }),
      admin: false,
      clock,
      telemetry: observed,
      onEvent() {},
      onError() {},
    }).start(),
  ),
);
const over = channel({
  discover: registry,
  transport: net,
  clock,
  random,
  telemetry: observed,
  hedge: { delayMs: 10 },
  ejection: { ejectionMs: 500, maxEjectionMs: 1000 },
  perInstance: () => [circuitBreaker({ clock, random, openMs: 200, maxOpenMs: 400 })],
  use: [responseCache({ ttlMs: 5, maxEntries: 50, clock }), singleFlight()],
});
const work = client(Work, over);
const scope = withCancel(background(clock));
/** Asked for, so that everything below is linked to it. */
const { signal } = scope;
const outcomes: Record<string, number> = {};

async function stream(n: number): Promise<void> {
  if (n % 3 === 0) {
    for await (const _ of work.list(scope, { n })) break;
  } else if (n % 3 === 1) {
    for await (const _ of work.list(scope, { n }));
  } else {
    await work.sum(
      scope,
      (async function* () {
        yield { n };
        yield { n };
      })(),
    );
  }
}

async function inTime(ms: number, work: (ctx: Context) => Promise<unknown>): Promise<void> {
  const ctx = withTimeout(scope, ms);
  try {
    await work(ctx);
  } finally {
    ctx.cancel();
  }
}

/** One call, and what its caller does with it. */
async function call(n: number): Promise<void> {
  switch (n % FATES) {
    case 3:
      // It hangs.
      return inTime(5, (ctx) => work.do(ctx, { n }));
    case 4: {
      const leaving = withCancel(scope);
      clock.schedule(3, () => leaving.cancel());
      return void (await work.once(leaving, { n }));
    }
    case 5:
      // Less than it takes.
      return inTime(2, (ctx) => work.once(ctx, { n }));
    case 6:
    case 7:
      return void (await work.read(scope, { n: n % 200 }));
    case 8:
      return stream(n);
    case 9:
      return void (await work.once(withPriority(scope, "critical"), { n }));
    default:
      return void (await work.do(scope, { n }));
  }
}

let made = 0;
async function run(calls: number): Promise<void> {
  const end = made + calls;
  while (made < end) {
    // One instance after the other fails for a tenth of a second, and all do well for two.
    const phase = Math.floor(clock.now() / 100) % 21;
    broken = phase === 0 ? Math.floor(clock.now() / 2100) % INSTANCES : -1;
    // Now and then far more at once than there is room for.
    const batch = made % 50_000 === 0 ? BATCH * 20 : BATCH;
    for (let i = 0; i < batch; i++) {
      call(made++).then(
        () => (outcomes["ok"] = (outcomes["ok"] ?? 0) + 1),
        (error: unknown) => {
          const { code } = ServiceError.from(error);
          outcomes[code] = (outcomes[code] ?? 0) + 1;
        },
      );
    }
    await clock.run(1);
  }
}

/** Bytes in use when every call has ended, and all garbage is gone. */
async function heap(): Promise<number> {
  await clock.run(60_000);
  for (let i = 0; i < 3; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().heapUsed;
}

async function counters(): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const metric of await observed.collect()) {
    if (metric.type !== "sum" || !metric.name.startsWith("flotilla.")) continue;
    sums[metric.name] = metric.points.reduce((sum, { value }) => sum + value, 0);
  }
  return sums;
}

async function main({ warmUp, calls, rounds }: Asked): Promise<Left> {
  await run(warmUp);
  const heaps = [await heap()];
  for (let round = 0; round < rounds; round++) {
    await run(calls);
    heaps.push(await heap());
  }
  const counted = await counters();
  const links = scope as unknown as { listener: unknown; child: unknown };
  const left = {
    heaps,
    timers: clock.pending,
    listeners: (links.listener === undefined ? 0 : 1) + getEventListeners(signal, "abort").length,
    children: links.child === undefined ? 0 : 1,
    inFlight: counted["flotilla.concurrency_limit.in_flight"]! + counted["flotilla.concurrency_limit.queued"]!,
  };
  await over.close();
  const stopping = Promise.all(hosts.map((running) => running.stop()));
  await clock.run(60_000);
  await stopping;
  const resources = process.getActiveResourcesInfo().filter((type) => !/^(Pipe|TTY|File)/.test(type));
  return { ...left, resources, outcomes, counters: counted };
}

process.stdout.write(`${JSON.stringify(await main(JSON.parse(process.argv[2]!) as Asked))}\n`);
