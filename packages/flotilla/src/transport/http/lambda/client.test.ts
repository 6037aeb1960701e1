import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { background, remainingMs, withCancel, withTimeout } from "../../../context/with.ts";
import type { Implementation } from "../../../contract/contract.ts";
import type { Code } from "../../../errors/code.ts";
import { serverCall, withHeaders, withResponseObserver } from "../../../metadata/call.ts";
import { priorityOf, withPriority } from "../../../metadata/priority.ts";
import { implement } from "../../../service/implement.ts";
import { stub } from "../../../service/stub.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import { lambdaClient } from "./client.ts";
import type { Invoke, InvokeInput, LambdaClientOptions } from "./client-options.ts";
import { lambda } from "./lambda.ts";
import { localFunctions } from "./local.ts";

nothingEscapes();

const ctx = background();

function calling(invoke: Invoke, options: Partial<LambdaClientOptions> = {}, address = "lambda://freight") {
  const connection = lambdaClient({ invoke, ...options }).connect(address);
  return { connection, freight: stub(Freight, (method) => connection.endpoint(method)) };
}

function local(methods: Partial<Implementation<typeof Freight>> = {}, clock?: VirtualClock) {
  const options = clock === undefined ? {} : { clock };
  const handler = lambda({ serve: [implement(Freight, { ...freight(), ...methods })], ...options });
  return localFunctions({ freight: handler }, options);
}

test("a call and its answer, with what stands beside them", async () => {
  const seen: unknown[] = [];
  const { freight } = calling(
    local({
      echo(ctx, { text }) {
        const call = serverCall(ctx)!;
        call.responseHeaders.append("x-two", "1");
        call.responseHeaders.append("x-two", "2");
        call.responseTrailers.set("x-after", "3");
        const left = remainingMs(ctx);
        assert.ok(left > 1000 && left <= 2000, `${left} ms are left`);
        return { text: `${text} ${call.headers.get("x-ask")} ${priorityOf(ctx)}` };
      },
    }),
  );
  const observed = withResponseObserver(ctx, (headers, trailers) => {
    seen.push(headers.get("x-two"), headers.get("x-after"), trailers.get("x-after"));
  });
  const call = withTimeout(withPriority(withHeaders(observed, { "x-ask": "why" }), "critical"), 2000);
  assert.deepEqual(await freight.echo(call, { text: "x" }), { text: "x why critical" });
  call.cancel();
  assert.deepEqual(seen, ["1, 2", undefined, "3"]);
  assert.deepEqual(await freight.root(ctx, {}), { text: "root" });
});

test("errors come back as they were", async () => {
  const { freight } = calling(local());
  const error = await failureOf(freight.fail(ctx, { code: "not_found", message: "gone" }));
  assert.deepEqual([error.code, error.message, error.metadata?.["x-reason"]], ["not_found", "gone", "asked"]);
  assert.equal((error.details[0]!.value as { reason: string }).reason, "ASKED");
  const invalid = await failureOf(freight.sum(ctx, { a: "1" as unknown as number, b: 2 }));
  assert.equal(invalid.code, "invalid_argument");
});

test("streams cannot be invoked", async () => {
  const { freight } = calling(local());
  const error = await failureOf(freight.count(ctx, { to: 3 })[Symbol.asyncIterator]().next());
  assert.equal(error.code, "unimplemented");
  assert.match(error.message, /^test\.v1\.Freight\/count streams, and only unary methods can be invoked/);
});

test("who gives up no longer waits; the function goes on", async () => {
  const started = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<{ text: string }>();
  const signals: AbortSignal[] = [];
  const functions = local({
    echo() {
      started.resolve();
      return handled.promise;
    },
  });
  const { freight, connection } = calling((input, options) => {
    signals.push(options.abortSignal);
    return functions(input, options);
  });
  const call = withCancel(ctx);
  const answer = failureOf(freight.echo(call, { text: "x" }));
  await started.promise;
  call.cancel();
  assert.equal((await answer).code, "canceled");
  assert.equal(signals[0]!.aborted, true);
  await connection.drain();
  handled.resolve({ text: "late" });
});

test("a call ends by its deadline, a function by its own", async () => {
  const clock = new VirtualClock();
  const hang = () => new Promise<never>(() => {});
  const { freight } = calling(local({ echo: hang }, clock));
  const call = withTimeout(background(clock), 500);
  const own = failureOf(freight.echo(call, { text: "x" }));
  await clock.advance(500);
  assert.equal((await own).code, "deadline_exceeded");
  const functions = failureOf(freight.echo(background(clock), { text: "x" }));
  await clock.advance(3000);
  assert.equal((await functions).code, "deadline_exceeded");
  // One that does not even heed the platform.
  const stuck = calling(localFunctions({ freight: hang }, { clock })).freight;
  const killed = failureOf(stuck.echo(background(clock), { text: "x" }));
  await clock.advance(3000);
  assert.match((await killed).message, /^freight failed: Sandbox\.Timedout: Task timed out after 3000 ms$/);
});

test("when the connection is closed, calls fail", async () => {
  const started = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<{ text: string }>();
  const { freight, connection } = calling(
    local({
      echo() {
        started.resolve();
        return handled.promise;
      },
    }),
  );
  const answer = failureOf(freight.echo(ctx, { text: "x" }));
  await started.promise;
  await connection.close();
  assert.equal((await answer).code, "unavailable");
  assert.equal((await failureOf(freight.echo(ctx, { text: "x" }))).retry?.unprocessed, true);
  handled.resolve({ text: "late" });
});

test("a function with an alias", async () => {
  const names: string[] = [];
  const answer: Invoke = async ({ FunctionName }: InvokeInput) => {
    names.push(FunctionName);
    return { Payload: Buffer.from('{"output":{"text":"y"},"metadata":{}}') };
  };
  for (const address of ["lambda://freight", "lambda://freight/live", "lambda://freight/$LATEST"]) {
    assert.deepEqual(await calling(answer, {}, address).freight.echo(ctx, { text: "x" }), { text: "y" });
  }
  assert.deepEqual(names, ["freight", "freight:live", "freight:$LATEST"]);
  assert.throws(() => calling(answer, {}, "lambda://freight/a/b"), /an address must look like lambda:\/\/name/);
  assert.throws(() => calling(answer, {}, "http://freight"), /an address must look like lambda:\/\/name/);
});

test("limits: payloads either way, and calls in flight", async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  let invoked = 0;
  const functions = local({ echo: async (_ctx, { text }) => (await gate, { text: text.repeat(20) }) });
  const { freight } = calling(
    (input, options) => {
      invoked++;
      return functions(input, options);
    },
    { maxPayloadBytes: 400, maxConcurrentCalls: 2 },
  );
  const large = await failureOf(freight.echo(ctx, { text: "x".repeat(400) }));
  assert.deepEqual([large.code, invoked], ["resource_exhausted", 0]);
  assert.match(large.message, /^the call comes to \d+ bytes, and a payload may have 400$/);
  const first = freight.echo(ctx, { text: "x" });
  const second = failureOf(freight.echo(ctx, { text: "x".repeat(100) }));
  const third = await failureOf(freight.echo(ctx, { text: "x" }));
  assert.deepEqual([third.code, third.retry?.unprocessed, invoked], ["unavailable", true, 2]);
  open();
  assert.deepEqual(await first, { text: "x".repeat(20) });
  assert.match((await second).message, /^freight answered with \d+ bytes, over the 400 allowed$/);
  assert.deepEqual(await freight.echo(ctx, { text: "y" }), { text: "y".repeat(20) });
});

describe("what the platform says instead of the function", () => {
  const failing =
    (error: object): Invoke =>
    async () => {
      throw Object.assign(new Error("as told"), error);
    };
  const status = (httpStatusCode: number) => ({ name: `Status${httpStatusCode}`, $metadata: { httpStatusCode } });
  const rejected: [string, object, Code, object?][] = [
    [
      "throttled",
      { ...status(429), retryAfterSeconds: "2" },
      "resource_exhausted",
      { unprocessed: true, afterMs: 2000 },
    ],
    ["too large", status(413), "resource_exhausted", { never: true }],
    ["no such function", status(404), "unavailable", { unprocessed: true }],
    ["expired credentials", status(401), "unauthenticated"],
    ["not allowed", status(403), "permission_denied"],
    ["a request that is none", status(400), "internal"],
    ["a failure of its own", status(502), "unavailable"],
    ["not reached", { code: "ECONNREFUSED" }, "unavailable", { unprocessed: true }],
    ["a broken connection", { code: "ECONNRESET" }, "unavailable"],
    ["no answer in time", { name: "TimeoutError" }, "unavailable"],
    ["a mistake in invoke", { name: "TypeError" }, "internal"],
  ];
  for (const [name, thrown, code, retry] of rejected) {
    test(name, async () => {
      const error = await failureOf(calling(failing(thrown)).freight.echo(ctx, { text: "x" }));
      assert.equal(error.code, code);
      assert.deepEqual(error.retry, retry);
      assert.match(error.message, /^freight could not be invoked: .*: as told$/);
      assert.ok(error.cause instanceof Error);
    });
  }

  const answered: [string, Awaited<ReturnType<Invoke>>, Code, RegExp][] = [
    ["nothing", {}, "internal", /is it a handler of lambda\(\)\?$/],
    ["no JSON", { Payload: Buffer.from("<html>") }, "internal", /is it a handler of lambda\(\)\?$/],
    ["another function's answer", { Payload: Buffer.from('{"statusCode":200}') }, "internal", /is it a handler/],
    ["keys that are refused", { Payload: Buffer.from('{"output":{"__proto__":{}}}') }, "internal", /is it a handler/],
    ["a failure without a word", { FunctionError: "Unhandled" }, "unknown", /failed: no type: no message$/],
    ["a code without an error", failed("not_found", "gone"), "unknown", /failed: not_found: gone$/],
    [
      "a process that ended",
      failed("Runtime.ExitError", "RequestId: 1 Error: exit"),
      "unavailable",
      /Runtime\.ExitError/,
    ],
    ["an invocation out of time", failed("", "1 Task timed out after 3.00 seconds"), "deadline_exceeded", /timed out/],
    ["an exception of others", failed("KeyError", "'a'"), "unknown", /freight failed: KeyError: 'a'$/],
  ];
  function failed(errorType: string, errorMessage: string) {
    return { FunctionError: "Unhandled", Payload: Buffer.from(JSON.stringify({ errorType, errorMessage })) };
  }
  for (const [name, output, code, message] of answered) {
    test(name, async () => {
      const error = await failureOf(calling(async () => output).freight.echo(ctx, { text: "x" }));
      assert.equal(error.code, code);
      assert.match(error.message, message);
    });
  }

  test("nobody by that name among local functions", async () => {
    const error = await failureOf(calling(local(), {}, "lambda://toString").freight.echo(ctx, { text: "x" }));
    assert.deepEqual([error.code, error.retry], ["unavailable", { unprocessed: true }]);
  });
});

test("options that are not legal", () => {
  const invoke = async () => ({});
  assert.throws(
    () => lambdaClient({} as LambdaClientOptions),
    /^TypeError: lambdaClient: invoke must be a function such/,
  );
  assert.throws(() => lambdaClient({ invoke, maxPayloadBytes: 0 }), /maxPayloadBytes must be a number above 0, got 0/);
  assert.throws(() => lambdaClient({ invoke, maxConcurrentCalls: Number.NaN }), /maxConcurrentCalls must be a number/);
  assert.throws(
    () => localFunctions({}, { timeoutMs: -1 }),
    /localFunctions: timeoutMs must be a number above 0, got -1/,
  );
});
