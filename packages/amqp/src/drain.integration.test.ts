import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { background, sleep, withCancel, withTimeout } from "flotilla/context";
import { client, implement } from "flotilla/service";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { amqpClient } from "./client.ts";
import { amqp } from "./listener.ts";
import { Tracking } from "./test-fixtures/cargo.ts";

const skip = await skipWithout("rabbitmq-server");
let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

test("instances come and go under load: no call fails, is made twice, or has another's answer", {
  skip,
  timeout: 60_000,
}, async (t) => {
  const root = withCancel(background());
  const made = new Map<number, number>();
  const service = implement(Tracking, {
    find: (_ctx, cargo) => cargo,
    async book(ctx, cargo) {
      made.set(cargo.n, (made.get(cargo.n) ?? 0) + 1);
      await sleep(ctx, cargo.n % 10);
      return cargo;
    },
  });
  const instance = () => amqp({ url: rabbit.url, maxConcurrentCalls: 256 }).listen([service], root);
  // What an instance refuses while it goes, the channel asks another.
  const tracking = client(Tracking, { discover: [rabbit.url], transport: amqpClient() });
  t.after(() => tracking[Symbol.asyncDispose]());
  let current = await instance();
  let next = 0;
  let stop = false;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (!stop) {
      const n = next++;
      const ctx = withTimeout(background(), 20_000);
      try {
        assert.deepEqual(await tracking.book(ctx, { n }), { n });
      } catch (error) {
        failures.push(error);
      }
      ctx.cancel();
    }
  };
  const lanes = Array.from({ length: 100 }, lane);
  for (let i = 0; i < 5; i++) {
    const other = await instance();
    await sleep(background(), 100);
    await current.drain();
    await current.close();
    current = other;
  }
  stop = true;
  await Promise.all(lanes);
  await current.close();
  assert.deepEqual(failures, []);
  assert.equal(made.size, next);
  assert.equal([...made.values()].filter((times) => times > 1).length, 0, "some were made twice");
  t.diagnostic(`${next} calls`);
});
