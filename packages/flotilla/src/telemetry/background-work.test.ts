import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { afterFunc, background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { client } from "../service/channel.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { memory } from "../transport/memory/memory.ts";
import { telemetry } from "./telemetry.ts";
import { inSpan } from "./trace/in-span.ts";
import { RecordingSink } from "./trace/test-fixtures/recorder.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message }) });

function bed() {
  const clock = new VirtualClock();
  const sink = new RecordingSink();
  const observed = telemetry({ traces: { sinks: [sink] }, metrics: false, logs: false, env: {}, clock });
  const net = memory();
  const start = (task?: (ctx: Context) => Promise<void>) =>
    host({
      name: "worker",
      serve: [implement(Work, { do: (_ctx, request) => request })],
      listen: [net.listener("worker")],
      admin: false,
      telemetry: observed,
      clock,
      onEvent() {},
      ...(task !== undefined && { tasks: { task } }),
    }).start();
  const work = client(Work, { discover: ["memory://worker"], transport: net, telemetry: observed, clock });
  return { clock, sink, start, work, observed };
}

test("work of a host that no call asked for is traced: the root of a trace, its calls below it", async () => {
  const { sink, start, work } = bed();
  let worked!: () => void;
  const done = new Promise<void>((resolve) => {
    worked = resolve;
  });
  const running = await start(async (ctx) => {
    await inSpan(ctx, "sweep", {}, (inner) => work.do(inner, { n: 1 }));
    worked();
    await new Promise<void>((resolve) => void afterFunc(ctx, resolve));
  });
  await done;
  const span = (name: string, kind: number) => sink.spans.find((each) => each.name === name && each.kind === kind)!;
  const sweep = span("sweep", 0);
  assert.equal(sweep.parentSpanId, undefined);
  assert.equal(span("test.v1.Work/do", 2).parentSpanId, sweep.spanId);
  assert.equal(new Set(sink.spans.map(({ traceId }) => traceId)).size, 1);
  await running.stop();
});

test("a call made outside a host is the root of a trace", async () => {
  const { sink, start, work, clock } = bed();
  const running = await start();
  await work.do(background(clock), { n: 1 });
  const roots = sink.spans.filter(({ parentSpanId }) => parentSpanId === undefined);
  assert.deepEqual(
    roots.map(({ name, kind }) => [name, kind]),
    [["test.v1.Work/do", 2]],
  );
  await running.stop();
});

test("a program without a host enters by itself", async () => {
  const { sink, observed, clock } = bed();
  await inSpan(observed.enter!(background(clock)), "import", {}, () => {});
  assert.deepEqual(sink.names, ["import"]);
});
