import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";

interface Told {
  readonly spans: readonly { name: string; kind: number; traceId: string; spanId: string; parentSpanId?: string }[];
  readonly traceparent: string;
  readonly baggage: string;
}

test("node:http with the official instrumentation joins the trace of the call that uses it, and carries it and its baggage on", async () => {
  const child = fork(join(import.meta.dirname, "test-fixtures", "instrumented-process.ts"));
  const exit = once(child, "exit");
  const [{ spans, traceparent, baggage }] = (await once(child, "message")) as [Told];
  assert.deepEqual(await exit, [0, null]);
  const of = (name: string, kind: number) => {
    const found = spans.filter((span) => span.name === name && span.kind === kind);
    assert.equal(found.length, 1, `${name} of kind ${kind} among ${JSON.stringify(spans)}`);
    return found[0]!;
  };
  const [calling, serving] = [of("test.v1.Work/do", 2), of("test.v1.Work/do", 1)];
  const [requesting, answering] = [of("GET", 2), of("GET", 1)];
  assert.deepEqual(
    [calling.parentSpanId, serving.parentSpanId, requesting.parentSpanId, answering.parentSpanId],
    [undefined, calling.spanId, serving.spanId, requesting.spanId],
  );
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1);
  assert.equal(traceparent.slice(3, 52), `${requesting.traceId}-${requesting.spanId}`);
  assert.equal(baggage, "tenant=a%20b");
});
