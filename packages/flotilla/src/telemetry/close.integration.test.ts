import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { systemClock } from "../clock/system-clock.ts";
import { background } from "../context/with.ts";
import { host } from "../service/host.ts";
import { telemetry } from "./telemetry.ts";
import { inSpan } from "./trace/in-span.ts";

/** Takes requests and answers none. */
const dead = createServer(() => {});
await new Promise<void>((resolve) => dead.listen(0, "127.0.0.1", resolve));
const { port } = dead.address() as AddressInfo;
after(() => {
  dead.closeAllConnections();
  dead.close();
});

function bed() {
  const wrong: string[] = [];
  const observed = telemetry({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_LOGS_EXPORTER: "none" },
    metrics: { process: false },
    logs: false,
    onError: (error) => wrong.push(error.message),
  });
  return { observed, wrong };
}

test("a dead collector holds close no longer than it may take, for traces and metrics together, and what is lost is told", async () => {
  const { observed, wrong } = bed();
  observed.meter!.createCounter("made").add(1);
  const ctx = observed.enter!(background());
  for (let i = 0; i < 600; i++) await inSpan(ctx, "work", {}, () => {});
  const startedMs = systemClock.now();
  await observed.close(600);
  const tookMs = systemClock.now() - startedMs;
  assert.ok(tookMs >= 500 && tookMs < 1500, `${tookMs} ms`);
  // A full batch was under way; the rest never left the queue.
  for (const expected of [
    /^512 items .*\/v1\/traces: the export was canceled/,
    /^88 spans were dropped: /,
    /^\d+ items .*\/v1\/metrics: /,
  ]) {
    assert.ok(
      wrong.some((message) => expected.test(message)),
      `${expected} among ${wrong.join("; ")}`,
    );
  }
  const metrics = await observed.collect();
  const counted = (name: string, error: string): number | undefined => {
    const metric = metrics.find((each) => each.name === name);
    assert.ok(metric?.type === "sum", name);
    return metric.points.find(({ attributes }) => attributes.includes(error))?.value;
  };
  assert.equal(counted("otel.sdk.processor.span.processed", "already_shutdown"), 88);
  assert.equal(counted("otel.sdk.exporter.span.exported", "canceled"), 512);
  assert.ok(counted("otel.sdk.exporter.metric_data_point.exported", "canceled")! > 0);
  assert.equal(counted("otel.sdk.processor.span.queue.size", "batching_span_processor"), 0);
});

test("a host that stops says how long it waits", async () => {
  const { observed } = bed();
  const given: (number | undefined)[] = [];
  const told: string[] = [];
  const close = (timeoutMs?: number): Promise<void> => {
    given.push(timeoutMs);
    return observed.close(100);
  };
  const telemetryOfHost = { ...observed, close };
  const onEvent = ({ message }: { message: string }): void => void told.push(message);
  const running = await host({ name: "worker", admin: false, telemetry: telemetryOfHost, onEvent }).start();
  await running.stop();
  assert.deepEqual(given, [5000]);
  assert.ok(!told.some((message) => message.includes("abandoned")), told.join("; "));
});
