// Calls of every fate over a connection that is cut again and again, and connections that are opened and closed; then everything is closed. Prints
// what is in use after each round, and what is left at the end. Argument: what is asked, as JSON.
import { getEventListeners } from "node:events";
import { background, sleep, withCancel, withTimeout } from "flotilla/context";
import { bidiStream, clientStream, contract, serverStream, unary } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { natsClient } from "../client.ts";
import { nats } from "../server.ts";
import { anything, clientOf } from "./bed.ts";
import { Relay } from "./relay.ts";

export interface Asked {
  /** Of the broker. */
  readonly port: number;
  readonly rounds: number;
  /** A round. */
  readonly calls: number;
  /** Times a round that the connection is cut. */
  readonly cuts: number;
  /** Connections a round that are opened for one call. */
  readonly connections: number;
}

export interface Left {
  /** Heap in use after each round, bytes. */
  readonly heaps: readonly number[];
  readonly outcomes: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly listeners: number;
  /** What keeps the process alive when all is closed. */
  readonly resources: readonly string[];
}

const LANES = 32;
/** The number of a call that ends with its connection only. */
const HANGS = 0.5;
const { port, rounds, calls, cuts, connections } = JSON.parse(process.argv[2]!) as Asked;

const number = anything<{ n: number }>();
const Work = contract("soak.v1.Work", {
  one: unary({ input: number, output: number }),
  many: serverStream({ input: number, output: number }),
  collect: clientStream({ input: number, output: number }),
  chat: bidiStream({ input: number, output: number }),
});
const work = implement(Work, {
  async one(ctx, { n }) {
    const fate = n % 100;
    if (fate === 1) throw new ServiceError("not_found", "no such thing", { metadata: { "x-a": "1" } });
    if (fate === 2 || fate === 3 || n === HANGS) await sleep(ctx, 60_000);
    return { n };
  },
  async *many(_ctx, { n }) {
    for (let i = 0; i < 5; i++) yield { n: n + i };
  },
  async collect(_ctx, requests) {
    let n = 0;
    for await (const request of requests) n += request.n;
    return { n };
  },
  async *chat(_ctx, requests) {
    for await (const request of requests) yield request;
  },
});

const relay = await Relay.open(port);
const broker = `nats://127.0.0.1:${port}`;
const root = withCancel(background());
const top = withCancel(background());
const quick = { maxReconnectMs: 1 };
const listening = await nats({ servers: broker }).listen([work], root);
const connection = natsClient(quick).connect(relay.address);
const client = clientOf(Work, connection);
const outcomes: Record<string, number> = {};

async function* messages(count: number): AsyncGenerator<{ n: number }> {
  for (let n = 0; n < count; n++) yield { n };
}

async function call(n: number): Promise<void> {
  const fate = n % 100;
  const ctx = withTimeout(top, fate === 2 ? 5 : 30_000);
  try {
    if (fate === 3) void Promise.resolve().then(() => ctx.cancel());
    if (fate === 4) for await (const _ of client.many(ctx, { n }));
    else if (fate === 5) for await (const _ of client.many(ctx, { n })) break;
    else if (fate === 6) await client.collect(ctx, messages(3));
    else if (fate === 7) for await (const _ of client.chat(ctx, messages(2)));
    else await client.one(ctx, { n });
    outcomes["ok"] = (outcomes["ok"] ?? 0) + 1;
  } catch (error) {
    const { code } = ServiceError.from(error);
    outcomes[code] = (outcomes[code] ?? 0) + 1;
  } finally {
    ctx.cancel();
  }
}

const heaps: number[] = [];
let next = 0;
for (let round = 0; round < rounds; round++) {
  const end = next + calls;
  const lane = async (): Promise<void> => {
    while (next < end) await call(next++);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (let cut = 0; cut < cuts; cut++) {
    const under = call(HANGS);
    await until("it is under way", () => listening.inFlight > 0);
    relay.cut();
    await under;
    await until("it is connected again", () => connection.poolState?.().open === 1);
    // A word that is lost with the next connection is lost for good.
    await until("its handler is cancelled", () => listening.inFlight === 0);
  }
  for (let n = 0; n < connections; n++) {
    const own = natsClient(quick).connect(broker);
    await clientOf(Work, own).one(top, { n: 0 });
    await own.close();
  }
  await until("nothing is in flight", () => listening.inFlight === 0);
  globalThis.gc?.();
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc?.();
  heaps.push(process.memoryUsage().heapUsed);
}
await connection.close();
await listening.close();
const listeners = getEventListeners(top.signal, "abort").length + getEventListeners(root.signal, "abort").length;
top.cancel();
root.cancel();
await relay.close();
// What was closed is gone some turns of the event loop later.
for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
const own = /^(?:PipeWrap|TTYWrap|FSReqCallback|Immediate)$/;
const left: Left = {
  heaps,
  outcomes,
  inFlight: listening.inFlight,
  listeners,
  resources: process.getActiveResourcesInfo().filter((name) => !own.test(name)),
};
process.stdout.write(JSON.stringify(left));
