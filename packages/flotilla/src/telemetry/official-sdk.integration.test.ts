import assert from "node:assert/strict";
import { test } from "node:test";
import { SpanStatusCode } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  InMemorySpanExporter,
  ParentBasedSampler,
  SimpleSpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { z } from "zod";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import { ServiceError } from "../errors/service-error.ts";
import { currentTrace, withTrace } from "../metadata/trace.ts";
import { channel, client } from "../service/channel.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { failureOf, readAll } from "../testing/transport-bed.ts";
import { http } from "../transport/http/server.ts";
import { log } from "./log/logger.ts";
import { logFile } from "./log/test-fixtures/log-bed.ts";
import { telemetry } from "./telemetry.ts";
import { inSpan } from "./trace/in-span.ts";

const message = z.object({ n: z.number() });
const Front = contract("test.v1.Front", {
  ask: unary({ input: message, output: message }),
  list: serverStream({ input: message, output: message }),
});
const Back = contract("test.v1.Back", { do: unary({ input: message, output: message }) });

test("the official SDK in place of ours: the same tree, the same metrics, lines with its trace ids", async () => {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const file = logFile();
  const observed = telemetry({
    service: "front",
    env: {},
    traces: { provider: tracerProvider },
    metrics: { provider: meterProvider },
    logs: { fd: file.fd, format: "json" },
  });
  const back = implement(Back, {
    async do(ctx, { n }) {
      if (n < 0) throw new ServiceError("internal", "broken");
      return inSpan(ctx, "think", {}, (inner) => {
        log(inner).info("thinking");
        return { n: n + 1 };
      });
    },
  });
  const common = { listen: [http()], telemetry: observed, admin: false } as const;
  const backHost = await host({ name: "back", serve: [back], ...common }).start();
  const over = channel({ discover: backHost.addresses, telemetry: observed });
  const backs = client(Back, over);
  const front = implement(Front, {
    ask: (ctx, request) => backs.do(ctx, request),
    async *list(ctx, { n }) {
      for (let i = 0; i < n; i++) yield await backs.do(ctx, { n: i });
    },
  });
  const frontHost = await host({ name: "front", serve: [front], ...common }).start();
  const outer = channel({ discover: frontHost.addresses, telemetry: observed });
  const fronts = client(Front, outer);

  assert.deepEqual(await fronts.ask(background(), { n: 1 }), { n: 2 });
  assert.equal((await readAll(fronts.list(background(), { n: 2 }))).length, 2);
  assert.equal((await failureOf(fronts.ask(background(), { n: -1 }))).code, "internal");
  await Promise.all([outer.close(), over.close()]);
  await frontHost.stop();
  await backHost.stop();
  await reader.forceFlush();

  const spans = exporter.getFinishedSpans();
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, span]));
  const roots = spans.filter(({ parentSpanContext }) => parentSpanContext === undefined);
  assert.deepEqual(
    roots.map(({ name }) => name),
    ["test.v1.Front/ask", "test.v1.Front/list", "test.v1.Front/ask"],
  );
  /** Names from a span up to its root. */
  const path = (span: (typeof spans)[number]): string => {
    const parent = span.parentSpanContext === undefined ? undefined : byId.get(span.parentSpanContext.spanId);
    assert.ok(span.parentSpanContext === undefined || parent !== undefined, `the parent of ${span.name}`);
    assert.ok(parent === undefined || parent.spanContext().traceId === span.spanContext().traceId);
    const own = `${span.name.split("/")[1] ?? span.name}:${span.kind}`;
    return parent === undefined ? own : `${path(parent)} > ${own}`;
  };
  const thinking = spans.filter(({ name }) => name === "think").map(path);
  const one = "> do:2 > do:1 > think:0";
  assert.deepEqual(thinking.sort(), [`ask:2 > ask:1 ${one}`, `list:2 > list:1 ${one}`, `list:2 > list:1 ${one}`]);
  const failed = spans.filter(({ status }) => status.code === SpanStatusCode.ERROR).map(path);
  assert.equal(failed.length, 4, "both sides of both hops");

  const metrics = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  // What policies tell is known before they are first asked, and kept when their channel is closed.
  const balance = metrics.find(({ descriptor }) => descriptor.name === "flotilla.retry.attempts");
  assert.deepEqual(balance?.dataPoints.map(({ attributes, value }) => [attributes["rpc.service"], value]).sort(), [
    ["test.v1.Back", 0],
    ["test.v1.Front", 0],
  ]);
  const served = metrics.find(({ descriptor }) => descriptor.name === "rpc.server.call.duration");
  const counts = served?.dataPoints.map(({ attributes, value }) => [
    attributes["rpc.method"],
    attributes["rpc.response.status_code"],
    (value as { count: number }).count,
  ]);
  assert.deepEqual(counts?.sort(), [
    ["test.v1.Back/do", "internal", 1],
    ["test.v1.Back/do", "ok", 3],
    ["test.v1.Front/ask", "internal", 1],
    ["test.v1.Front/ask", "ok", 1],
    ["test.v1.Front/list", "ok", 1],
  ]);

  const lines = file.lines();
  for (const { trace_id, span_id } of lines.filter(({ msg }) => msg === "thinking")) {
    assert.equal(byId.get(String(span_id))?.name, "think");
    assert.equal(byId.get(String(span_id))?.spanContext().traceId, trace_id);
  }
  assert.equal(lines.filter(({ msg }) => msg === "served").length, 7);
  file.remove();
  await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]);
});

test("its sampler decides, also for what comes in and goes out", async () => {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0) }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  const observed = telemetry({ env: {}, traces: { provider: tracerProvider }, metrics: false, logs: false });
  let seen: string | undefined;
  const running = await host({
    name: "back",
    serve: [
      implement(Back, {
        do(ctx, request) {
          seen = currentTrace(ctx)?.traceparent;
          return request;
        },
      }),
    ],
    listen: [http()],
    telemetry: observed,
    admin: false,
    onEvent() {},
  }).start();
  const over = channel({ discover: running.addresses, telemetry: observed });
  await client(Back, over).do(background(), { n: 1 });
  assert.match(String(seen), /-00$/);
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await client(Back, over).do(withTrace(background(), { traceparent, tracestate: undefined }), { n: 1 });
  assert.match(String(seen), /^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
  assert.equal(exporter.getFinishedSpans().length, 2);
  await over.close();
  await running.stop();
  await tracerProvider.shutdown();
});
