import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withValue } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import { chain, type Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { outgoingHeaders, type ServerCall, serverCallKey, withHeaders } from "../../metadata/call.ts";
import { Metadata, type MetadataRecord } from "../../metadata/metadata.ts";
import { retry } from "../retry.ts";
import { type AtMostOnceOptions, atMostOnce, IDEMPOTENCY_KEY, idempotencyKeys } from "./at-most-once.ts";

const n = z.object({ n: z.number() });
const { methods } = contract("a.B", {
  read: unary({ input: n, output: n, idempotent: true }),
  pay: unary({ input: n, output: n }),
  watch: serverStream({ input: n, output: n }),
});
const method = (key: string): MethodInfo => methods.find((info) => info.key === key)!;

/** A service that takes 100 ms, and counts. */
function bed(options: AtMostOnceOptions = {}, key = "pay") {
  const clock = new VirtualClock();
  const root = background(clock);
  const once = atMostOnce({ clock, ...options });
  const service = { made: 0, fails: undefined as ServiceError | undefined };
  const endpoint: Endpoint = async (ctx, request) => {
    service.made++;
    await sleep(ctx, 100);
    if (service.fails !== undefined) throw service.fails;
    return { ...(request as object), made: service.made };
  };
  const from = (headers: MetadataRecord): Context =>
    withValue(root, serverCallKey, { headers: new Metadata(headers) } as unknown as ServerCall);
  const call = once(endpoint, method(key));
  const pay = async (name: string | undefined, amount = 1, more: MetadataRecord = {}): Promise<unknown> => {
    const headers = { ...more, ...(name !== undefined && { [IDEMPOTENCY_KEY]: name }) };
    const pending = call(from(headers), { n: amount }).catch((error: unknown) => error);
    await clock.run(200);
    return pending;
  };
  return { clock, once, service, call, from, pay };
}

describe("a call that arrives again", () => {
  test("is not made again, and has the same answer", async () => {
    const { pay, service, once } = bed();
    const first = await pay("k");
    assert.deepEqual(first, { n: 1, made: 1 });
    assert.equal(await pay("k"), first);
    assert.equal(service.made, 1);
    assert.deepEqual(await pay("other"), { n: 1, made: 2 });
    const { entries, repeated, evicted } = once.state;
    assert.deepEqual({ entries, repeated, evicted }, { entries: 2, repeated: 1, evicted: 0 });
    const told: Record<string, number> = {};
    once.policies![0]!.measure(({ name }, value) => (told[name] = value));
    assert.deepEqual(told, {
      "flotilla.at_most_once.repeated": 1,
      "flotilla.at_most_once.entries": 2,
      "flotilla.at_most_once.evicted": 0,
    });
    assert.deepEqual(once.policies![0]!.describe(), [once.state]);
  });

  test("while the first is under way waits for it", async () => {
    const { call, from, clock, service } = bed();
    const both = [1, 2].map(() => call(from({ [IDEMPOTENCY_KEY]: "k" }), { n: 1 }));
    await clock.run(200);
    const [one, two] = await Promise.all(both);
    assert.equal(one, two);
    assert.equal(service.made, 1);
  });

  test("has the failure of the first, as an error of its own", async () => {
    const { pay, service } = bed();
    service.fails = new ServiceError("unavailable", "half done");
    const first = (await pay("k")) as ServiceError;
    service.fails = undefined;
    const second = (await pay("k")) as ServiceError;
    assert.equal(second.code, "unavailable");
    assert.equal(second.message, "half done");
    assert.notEqual(second, first);
    assert.equal(service.made, 1);
  });

  test("is made when the first provably reached nobody", async () => {
    const { pay, service } = bed();
    service.fails = new ServiceError("unavailable", "refused", { retry: { unprocessed: true } });
    await pay("k");
    service.fails = undefined;
    assert.deepEqual(await pay("k"), { n: 1, made: 2 });
  });

  test("is made again when its time is over, or it had to give way", async () => {
    const { pay, clock, service, once } = bed({ ttlMs: 5000, maxEntries: 2 });
    await pay("k");
    await clock.run(4000);
    await pay("k");
    assert.equal(service.made, 1);
    await clock.run(2000);
    await pay("k");
    assert.equal(service.made, 2);
    await pay("l");
    await pay("m");
    assert.equal(once.state.evicted, 1);
    await pay("k");
    assert.equal(service.made, 5);
  });

  test("is refused when it is another: by its request, or its caller", async () => {
    const { pay, service } = bed();
    await pay("k", 1, { authorization: "alice" });
    for (const [amount, who] of [
      [2, "alice"],
      [1, "bob"],
    ] as const) {
      const error = (await pay("k", amount, { authorization: who })) as ServiceError;
      assert.equal(error.code, "invalid_argument");
      assert.match(error.message, /idempotency-key k has come with another call/);
    }
    assert.equal(service.made, 1);
  });
});

test("without a key calls are made as they come, or refused", async () => {
  const free = bed();
  await free.pay(undefined);
  await free.pay(undefined);
  assert.equal(free.service.made, 2);
  const strict = bed({ required: true });
  assert.match(String(await strict.pay(undefined)), /a\.B\/pay needs the header idempotency-key/);
  assert.match(String(await strict.pay("k".repeat(257))), /longer than 256 characters/);
  assert.equal(strict.service.made, 0);
});

test("idempotent methods and streams are left alone", () => {
  const endpoint: Endpoint = async () => ({});
  for (const key of ["read", "watch"]) assert.equal(atMostOnce()(endpoint, method(key)), endpoint);
  assert.equal(idempotencyKeys()(endpoint, method("read")), endpoint);
});

test("a client's attempts carry one key, its calls different ones; what the caller sets stays", async () => {
  const clock = new VirtualClock();
  const keys: (string | undefined)[] = [];
  const endpoint: Endpoint = async (ctx) => {
    keys.push(outgoingHeaders(ctx)?.get(IDEMPOTENCY_KEY));
    if (keys.length === 1) throw new ServiceError("unavailable", "refused", { retry: { unprocessed: true } });
    return {};
  };
  const call = chain(idempotencyKeys({ random: seededRandom(1) }), retry({ clock, baseMs: 0 }))(
    endpoint,
    method("pay"),
  );
  const pending = call(background(clock), { n: 1 });
  await clock.run(100);
  await pending;
  await call(background(clock), { n: 1 });
  await call(withHeaders(background(clock), { [IDEMPOTENCY_KEY]: "mine" }), { n: 1 });
  assert.equal(keys.length, 4);
  assert.match(keys[0]!, /^"[0-9a-f]{32}"$/);
  assert.equal(keys[1], keys[0]);
  assert.notEqual(keys[2], keys[0]);
  assert.equal(keys[3], "mine");
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => atMostOnce({ ttlMs: 0 }), /atMostOnce: ttlMs/);
  assert.throws(() => atMostOnce({ maxEntries: 0 }), /atMostOnce: maxEntries/);
  assert.throws(() => atMostOnce({ maxBytes: 0 }), /atMostOnce: maxBytes/);
  assert.throws(() => atMostOnce({ key: () => "", vary: [] }), /atMostOnce: give key or vary/);
});
