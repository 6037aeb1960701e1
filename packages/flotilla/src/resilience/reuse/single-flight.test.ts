import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver, withHeaders, withResponseObserver } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { type SingleFlightOptions, singleFlight } from "./single-flight.ts";

const n = z.object({ n: z.number() });
const { methods } = contract("a.B", {
  read: unary({ input: n, output: n, idempotent: true }),
  write: unary({ input: n, output: n }),
  watch: serverStream({ input: n, output: n, idempotent: true }),
});
const method = (key: string): MethodInfo => methods.find((info) => info.key === key)!;

/** A service that takes 100 ms. */
function bed(options: SingleFlightOptions = {}, key = "read") {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const shared = singleFlight(options);
  const calls: { ctx: Context; request: unknown; end: string | undefined }[] = [];
  const service = { fails: undefined as Error | undefined };
  const endpoint: Endpoint = async (inner, request) => {
    const call = { ctx: inner, request, end: undefined as string | undefined };
    calls.push(call);
    try {
      await sleep(inner, 100);
      responseObserver(inner)?.(new Metadata({ served: String(calls.length) }), new Metadata());
      if (service.fails !== undefined) throw service.fails;
      return { ...(request as object), served: calls.length };
    } catch (error) {
      call.end = ServiceError.from(error).code;
      throw error;
    }
  };
  return { clock, ctx, shared, calls, service, call: shared(endpoint, method(key)) };
}

const codeOf = (pending: Promise<unknown>): Promise<string> =>
  pending.then(
    () => "ok",
    (error: unknown) => ServiceError.from(error).code,
  );

describe("what is shared", () => {
  test("the same asked at the same time is asked once, and all have the answer", async () => {
    const { clock, ctx, call, calls, shared } = bed();
    const answers = [1, 2, 3].map(() => call(ctx, { n: 1 }));
    await clock.run(100);
    const [one, two, three] = await Promise.all(answers);
    assert.deepEqual(one, { n: 1, served: 1 });
    assert.equal(two, one);
    assert.equal(three, one);
    assert.equal(calls.length, 1);
    assert.deepEqual([shared.made, shared.shared], [1, 2]);
  });

  test("what is asked when the answer is there is asked anew", async () => {
    const { clock, ctx, call, calls } = bed();
    const first = call(ctx, { n: 1 });
    await clock.run(100);
    await first;
    const second = call(ctx, { n: 1 });
    await clock.run(100);
    assert.deepEqual(await second, { n: 1, served: 2 });
    assert.equal(calls.length, 2);
  });

  test("other requests, other headers and other methods are others", async () => {
    const { clock, ctx, call, calls } = bed();
    const alice = withHeaders(ctx, { authorization: "alice" });
    const all = [
      call(ctx, { n: 1 }),
      call(ctx, { n: 2 }),
      call(alice, { n: 1 }),
      call(withHeaders(ctx, { authorization: "bob" }), { n: 1 }),
      call(withHeaders(ctx, { authorization: "alice" }), { n: 1 }),
    ];
    await clock.run(100);
    await Promise.all(all);
    assert.equal(calls.length, 4);
  });

  test("a failure is everybody's", async () => {
    const { clock, ctx, call, calls, service } = bed();
    service.fails = new ServiceError("not_found", "no such thing");
    const all = [codeOf(call(ctx, { n: 1 })), codeOf(call(ctx, { n: 1 }))];
    await clock.run(100);
    assert.deepEqual(await Promise.all(all), ["not_found", "not_found"]);
    assert.equal(calls.length, 1);
  });

  test("an endpoint that throws at once is no different, and not remembered", async () => {
    const ctx = background(new VirtualClock());
    const call = singleFlight()(() => {
      throw new ServiceError("internal", "broken");
    }, method("read"));
    assert.equal(await codeOf(call(ctx, { n: 1 })), "internal");
    assert.equal(await codeOf(call(ctx, { n: 1 })), "internal");
  });

  test("everybody sees the headers of the answer", async () => {
    const { clock, ctx, call } = bed();
    const seen: (string | undefined)[] = [];
    const observing = (): Context => withResponseObserver(ctx, (headers) => seen.push(headers.get("served")));
    const all = [call(observing(), { n: 1 }), call(observing(), { n: 1 })];
    await clock.run(100);
    await Promise.all(all);
    assert.deepEqual(seen, ["1", "1"]);
  });

  test("methods that are not idempotent, and streams, are left as they are", () => {
    const endpoint: Endpoint = async () => undefined;
    assert.equal(singleFlight()(endpoint, method("write")), endpoint);
    assert.equal(singleFlight()(endpoint, method("watch")), endpoint);
  });
});

describe("who waits how long", () => {
  test("each as long as its own deadline says, the first no less than the others", async () => {
    const { clock, ctx, call, calls } = bed();
    const short = withTimeout(ctx, 30);
    const first = codeOf(call(short, { n: 1 }));
    const second = codeOf(call(ctx, { n: 1 }));
    await clock.run(50);
    assert.equal(await first, "deadline_exceeded");
    assert.equal(calls[0]!.end, undefined, "somebody still waits");
    await clock.run(50);
    assert.equal(await second, "ok");
    assert.equal(calls.length, 1);
  });

  test("when nobody waits any more the call is cancelled, and asked anew", async () => {
    const { clock, ctx, call, calls } = bed();
    const scopes = [withCancel(ctx), withCancel(ctx)];
    const ends = scopes.map((scope) => codeOf(call(scope, { n: 1 })));
    scopes[0]!.cancel();
    await clock.run(10);
    assert.equal(calls[0]!.end, undefined);
    scopes[1]!.cancel();
    await clock.run(0);
    const again = codeOf(call(ctx, { n: 1 }));
    await clock.run(10);
    assert.equal(calls[0]!.end, "canceled");
    assert.deepEqual(await Promise.all(ends), ["canceled", "canceled"]);
    await clock.run(100);
    assert.equal(await again, "ok");
    assert.equal(calls.length, 2);
  });

  test("no timer is left behind", async () => {
    const { clock, ctx, call } = bed();
    const pending = call(withTimeout(ctx, 1000), { n: 1 });
    await clock.run(100);
    await pending;
    // Deadlines share one timer, which goes when it is due next.
    await clock.run(1000);
    assert.equal(clock.pending, 0);
  });
});

describe("options", () => {
  test("more flights than allowed are not shared", async () => {
    const { clock, ctx, call, calls } = bed({ maxFlights: 2 });
    const all = [1, 2, 3, 3].map((i) => call(ctx, { n: i }));
    await clock.run(100);
    await Promise.all(all);
    assert.equal(calls.length, 4);
  });

  test("a key of one's own; undefined stays alone", async () => {
    const { clock, ctx, call, calls } = bed({
      key: (_ctx, request) => ((request as { n: number }).n < 10 ? "small" : undefined),
    });
    const all = [1, 2, 10, 10].map((i) => call(ctx, { n: i }));
    await clock.run(100);
    await Promise.all(all);
    assert.equal(calls.length, 3);
  });

  test("what is not legal is named", () => {
    assert.throws(() => singleFlight({ maxFlights: 0 }), /maxFlights must be 1 or more, got 0/);
    assert.throws(() => singleFlight({ key: () => "", vary: [] }), /give key or vary/);
  });
});
