import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { Answer } from "./answer.ts";
import { Delivery, type DeliveryOptions } from "./delivery.ts";

type Step = Partial<Answer> | "broken" | "hangs";

/** A delivery to a collector that answers as planned; each try is noted with its time. */
function bed(plan: readonly Step[], options: Partial<DeliveryOptions> = {}) {
  const clock = new VirtualClock();
  const errors: ServiceError[] = [];
  const tries: { atMs: number; body: Uint8Array; headers: Readonly<Record<string, string>> }[] = [];
  const delivery = new Delivery(
    (body, headers, signal) => {
      const step = plan[Math.min(tries.length, plan.length - 1)]!;
      tries.push({ atMs: clock.now(), body, headers });
      if (step === "broken") return Promise.reject(new Error("connect ECONNREFUSED"));
      if (step === "hangs") {
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
      }
      return Promise.resolve({ status: 200, contentType: undefined, retryAfter: undefined, body: undefined, ...step });
    },
    {
      url: "http://collector/v1/traces",
      headers: {},
      timeoutMs: 10_000,
      compression: "none",
      maxRequestBytes: 1000,
      clock,
      random: seededRandom(1),
      onError: (error) => errors.push(error),
      ...options,
    },
  );
  const deliver = async (items = 7, signal = new AbortController().signal): Promise<ServiceError | undefined> => {
    const done = delivery.deliver(new Uint8Array([1, 2, 3]), items, 0, signal);
    await clock.advance(60_000);
    return done;
  };
  return { clock, delivery, counters: delivery.counters, tries, errors, deliver };
}
const failures = (counters: Delivery["counters"]): object => Object.fromEntries(counters.failed);

test("an accepted request", async () => {
  const { counters, tries, deliver, clock } = bed([{}], { headers: { "Api-Key": "k" } });
  assert.equal(await deliver(), undefined);
  assert.deepEqual(tries, [
    {
      atMs: 0,
      body: new Uint8Array([1, 2, 3]),
      headers: { "user-agent": "flotilla", "api-key": "k", "content-type": "application/x-protobuf" },
    },
  ]);
  assert.deepEqual([counters.exported, counters.requests, counters.bytes, counters.inflight], [7, 1, 3, 0]);
  assert.equal(clock.pending, 0);
});

test("gzip", async () => {
  const { tries, delivery } = bed([{}], { compression: "gzip" });
  assert.equal(await delivery.deliver(Buffer.from("hello"), 1, 0, new AbortController().signal), undefined);
  assert.equal(tries[0]?.headers["content-encoding"], "gzip");
  assert.equal(String(gunzipSync(tries[0].body)), "hello");
});

for (const step of [{ status: 429 }, { status: 502 }, { status: 503 }, { status: 504 }, "broken"] as const) {
  test(`tried again, later and later: ${JSON.stringify(step)}`, async () => {
    const { counters, tries, deliver, errors } = bed([step, step, step, {}]);
    assert.equal(await deliver(), undefined);
    const waits = tries.slice(1).map(({ atMs }, i) => atMs - tries[i]!.atMs);
    assert.equal(waits.length, 3);
    for (const [i, wait] of waits.entries()) {
      const most = 1000 * 1.5 ** i;
      assert.ok(wait >= most / 2 && wait <= most, `wait ${i} was ${wait} ms`);
    }
    assert.deepEqual([counters.exported, counters.retries, errors.length], [7, 3, 0]);
  });
}

for (const status of [301, 307, 400, 401, 404, 413, 500, 501]) {
  test(`given up at once: ${status}`, async () => {
    const { counters, tries, deliver, errors } = bed([{ status }]);
    const error = await deliver();
    assert.equal(error?.code, "failed_precondition");
    assert.match(
      error.message,
      new RegExp(`^7 items .* http://collector/v1/traces: it answered with status ${status}`),
    );
    assert.deepEqual(errors, [error]);
    assert.equal(tries.length, 1);
    assert.deepEqual(failures(counters), { [status]: 7 });
  });
}

test("given up when the time is over", async () => {
  const { counters, tries, deliver } = bed(["broken"]);
  const error = await deliver();
  assert.equal(error?.code, "unavailable");
  assert.match(error.message, /ECONNREFUSED/);
  assert.ok(tries.length >= 4 && tries.at(-1)!.atMs < 10_000, JSON.stringify(tries.map(({ atMs }) => atMs)));
  assert.deepEqual(failures(counters), { connection: 7 });
});

test("a collector that never answers costs the time limit", async () => {
  const { clock, counters, tries, delivery } = bed(["hangs"]);
  const done = delivery.deliver(new Uint8Array(1), 7, 0, new AbortController().signal);
  await clock.advance(9999);
  assert.equal(counters.inflight, 7);
  await clock.advance(1);
  assert.match((await done)?.message ?? "", /no answer within 10000 ms/);
  assert.deepEqual([tries.length, counters.inflight, counters.busyMs], [1, 0, 10_000]);
  assert.deepEqual(failures(counters), { timeout: 7 });
  assert.equal(clock.pending, 0);
});

test("Retry-After is obeyed, also by the next request", async () => {
  const { tries, deliver } = bed([{ status: 503, retryAfter: "4" }, {}]);
  assert.equal(await deliver(), undefined);
  assert.equal(tries[1]?.atMs, 4000);

  const other = bed([{ status: 429, retryAfter: "30" }, {}]);
  assert.match((await other.deliver())?.message ?? "", /429/);
  assert.equal(other.tries.length, 1, "30 s are longer than a request may take");

  const third = bed([{ status: 429, retryAfter: "12" }, {}]);
  const first = third.delivery.deliver(new Uint8Array(1), 1, 0, new AbortController().signal);
  await third.clock.advance(5000);
  assert.match((await first)?.message ?? "", /429/);
  const second = third.delivery.deliver(new Uint8Array(1), 1, 0, new AbortController().signal);
  await third.clock.advance(7000);
  assert.equal(await second, undefined);
  assert.equal(third.tries[1]?.atMs, 12_000);
});

test("an abort ends waits and tries, and is counted", async () => {
  for (const step of ["broken", "hangs"] as const) {
    const { clock, counters, delivery } = bed([step]);
    const abort = new AbortController();
    const done = delivery.deliver(new Uint8Array(1), 7, 0, abort.signal);
    await clock.advance(100);
    abort.abort();
    assert.match((await done)?.message ?? "", /canceled/);
    assert.deepEqual(failures(counters), { canceled: 7 });
    assert.equal(clock.pending, 0);
  }
});

/** ExportTracePartialSuccess in an ExportTraceServiceResponse. */
const partial = (rejected: number, message: string): Partial<Answer> => {
  const inner = [0x08, rejected, 0x12, message.length, ...Buffer.from(message)];
  return { contentType: "application/x-protobuf; charset=x", body: new Uint8Array([0x0a, inner.length, ...inner]) };
};

test("partial success is counted and told, never believed beyond what was sent", async () => {
  const some = bed([partial(2, "bad\nids")]);
  assert.equal(await some.deliver(), undefined);
  assert.deepEqual([some.counters.exported, some.counters.rejected], [5, 2]);
  assert.match(some.errors[0]?.message ?? "", /rejected 2 of 7 items: bad ids$/);

  const lying = bed([partial(100, "")]);
  assert.equal(await lying.deliver(), undefined);
  assert.deepEqual([lying.counters.exported, lying.counters.rejected], [0, 7]);

  const warning = bed([partial(0, "slow down")]);
  assert.equal(await warning.deliver(), undefined);
  assert.deepEqual([warning.counters.exported, warning.counters.rejected], [7, 0]);
  assert.match(warning.errors[0]?.message ?? "", /warning: slow down/);
});

test("garbage in a 200 is no failure", async () => {
  for (const body of [[0xff, 0xff, 0xff], [0x0a, 0x7f, 0x08], [0x0a, 0x02, 0x0b, 0x0b], [0x0b], [0, 0, 0]]) {
    const { counters, errors, deliver } = bed([{ contentType: "application/x-protobuf", body: new Uint8Array(body) }]);
    assert.equal(await deliver(), undefined);
    assert.deepEqual([counters.exported, counters.rejected, errors.length], [7, 0, 0]);
  }
  const { counters, deliver } = bed([{ ...partial(3, ""), contentType: "text/html" }]);
  await deliver();
  assert.equal(counters.rejected, 0, "what is not protobuf is not read as it");
});

test("what is too large is not sent", async () => {
  const { counters, tries, delivery } = bed([{}]);
  const error = await delivery.deliver(new Uint8Array(1001), 1, 0, new AbortController().signal);
  assert.match(error?.message ?? "", /1001 bytes, and maxRequestBytes is 1000/);
  assert.equal(tries.length, 0);
  assert.deepEqual(failures(counters), { too_large: 1 });
});

test("an onError that throws harms nothing", async () => {
  const { counters, deliver } = bed([{ status: 400 }], {
    onError: () => {
      throw new Error("watcher");
    },
  });
  assert.equal((await deliver())?.code, "failed_precondition");
  assert.equal(counters.inflight, 0);
});
