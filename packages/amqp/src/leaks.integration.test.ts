import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { background, withCancel, withTimeout, withValue } from "flotilla/context";
import { errorReporterKey } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { faultProxy, until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { amqpClient } from "./client.ts";
import { consumer } from "./consumer.ts";
import { amqp } from "./listener.ts";
import { publisher } from "./publisher.ts";
import { CargoEvents, Tracking } from "./test-fixtures/cargo.ts";
import { foreign } from "./test-fixtures/inspect.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const skip = await skipWithout("rabbitmq-server");
const ROUNDS = 8;
const CALLS = 2000;
const MESSAGES = 500;
const RESETS = 5;

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

test("nothing is left of calls of every fate, messages and reconnections", { skip, timeout: 180_000 }, async () => {
  const resources = process.getActiveResourcesInfo().length;
  const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
  const url = `amqp://127.0.0.1:${proxy.port}`;
  const quick = { url, maxReconnectMs: 10 };
  const root = withCancel(withValue(background(), errorReporterKey, () => {}));
  const service = implement(Tracking, {
    find(_ctx, cargo) {
      if (cargo.n % 4 === 0) throw new ServiceError("not_found", "no such cargo");
      return cargo;
    },
    book: (ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.err!))),
  });
  let handled = 0;
  const take = (_ctx: unknown, cargo: { n: number }) => {
    handled++;
    return cargo;
  };
  const events = implement(CargoEvents, { booked: take, lost: take });
  const serving = await amqp(quick).listen([service], root);
  const consuming = await consumer({ ...quick, group: "leaks", serve: [events] }).listen([], root);
  const connection = amqpClient(quick).connect(url);
  const [find, book] = Tracking.methods.map((method) => connection.endpoint(method));
  const publishing = publisher(CargoEvents, quick);
  const ctx = withCancel(background());
  const outcomes = new Map<string, number>();
  const note = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const noted = (work: Promise<unknown>): Promise<void> =>
    work.then(
      () => note("ok"),
      (error: unknown) => note((error as ServiceError).code),
    );

  const call = (n: number): Promise<void> => {
    if (n % 50 === 1) return noted(book!(withTimeout(ctx, 5), { n }));
    if (n % 50 === 2) {
      const inner = withCancel(ctx);
      const outcome = noted(book!(inner, { n }));
      setImmediate(() => inner.cancel());
      return outcome;
    }
    return noted(find!(withTimeout(ctx, 10_000), { n }));
  };
  const round = async (): Promise<number> => {
    for (let n = 0; n < CALLS; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => call(n + i)));
    const end = handled + MESSAGES;
    await Promise.all(Array.from({ length: MESSAGES }, (_, n) => publishing.booked(withTimeout(ctx, 30_000), { n })));
    await until("they are handled", () => handled >= end);
    for (let i = 0; i < RESETS; i++) {
      const hanging = noted(book!(withTimeout(ctx, 20_000), { n: 1 }));
      await until("it is in hand", () => serving.inFlight === 1);
      await proxy.inject({ reset: true, connections: "open" }).heal();
      await hanging;
      const open = (): number => connection.poolState!().open + serving.connections! + consuming.connections!;
      await until("all is connected again", () => open() === 3);
      await until("nothing is in flight", () => serving.inFlight === 0);
      await publishing.booked(withTimeout(ctx, 30_000), { n: 1 });
    }
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  await round();
  await round();
  const heaps: number[] = [];
  for (let i = 0; i < ROUNDS; i++) heaps.push(await round());
  // What Node itself gives back in one round must not hide what another loses, and what it takes once is no leak.
  const growth = heaps.slice(1).map((bytes, i) => bytes - heaps[i]!);
  const middle = growth.toSorted((a, b) => a - b).slice(1, -1);
  const grown = middle.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(grown < 1_000_000, `the heap grew by ${growth.join(", ")} bytes`);
  for (const outcome of ["ok", "not_found", "canceled", "deadline_exceeded", "unavailable"]) {
    assert.ok((outcomes.get(outcome) ?? 0) >= RESETS * ROUNDS, `${outcome}: ${outcomes.get(outcome)}`);
  }

  await connection.close();
  await publishing[Symbol.asyncDispose]();
  await consuming.close();
  await serving.close();
  await proxy.close();
  ctx.cancel();
  root.cancel();
  await until("no handle is left", () => process.getActiveResourcesInfo().length <= resources);
});

test("nothing is left of connections that were given up while the broker was well", {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { channel } = await foreign(t, rabbit.url);
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const root = withCancel(withValue(background(), errorReporterKey, () => {}));
  const service = implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo });
  const serving = await amqp({ url: rabbit.url, maxReconnectMs: 10 }).listen([service], root);
  for (let i = 0; i < 3; i++) {
    await channel.deleteQueue(Tracking.name);
    await until("it has noticed", () => serving.connections === 0);
    await until("it has another connection", () => serving.connections === 1);
  }
  await serving.close();
  root.cancel();
  // Long before heartbeats would be missed.
  await until("no timer is left", () => timers() <= before, 5000);
});
