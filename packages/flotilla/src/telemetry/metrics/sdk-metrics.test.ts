import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { BatcherCounters } from "../otlp/batcher.ts";
import type { DeliveryCounters } from "../otlp/delivery.ts";
import { createMeterProvider } from "./provider.ts";
import { sdkMetrics } from "./sdk-metrics.ts";

const queue: BatcherCounters = {
  queueSize: 3,
  queueCapacity: 2048,
  processed: 100,
  droppedQueueFull: 7,
  droppedClosed: 2,
  failed: 5,
};
const delivery: DeliveryCounters = {
  inflight: 4,
  exported: 80,
  rejected: 1,
  failed: new Map([["503", 6]]),
  requests: 9,
  retries: 1,
  bytes: 1000,
  busyMs: 10,
};

async function collected(): Promise<Map<string, Record<string, number>>> {
  const provider = createMeterProvider();
  sdkMetrics(provider.getMeter("flotilla"), {
    spans: { recorded: 110, unsampled: 40 },
    spanQueue: queue,
    spanExport: delivery,
    logQueue: queue,
    pointExport: delivery,
  });
  return new Map(
    (await provider.collect()).map((metric) => {
      assert.ok(metric.type === "sum");
      const points = metric.points.map(({ attributes, value }) => {
        const at = attributes.indexOf("error.type");
        return [at < 0 ? "" : attributes[at + 1], value] as const;
      });
      return [metric.name, Object.fromEntries(points) as Record<string, number>];
    }),
  );
}

test("queues, drops by reason, and what became of what was exported", async () => {
  const metrics = await collected();
  assert.deepEqual(metrics.get("otel.sdk.processor.span.queue.size"), { "": 3 });
  assert.deepEqual(metrics.get("otel.sdk.processor.log.queue.capacity"), { "": 2048 });
  assert.deepEqual(metrics.get("otel.sdk.processor.span.processed"), {
    "": 100,
    queue_full: 7,
    already_shutdown: 2,
  });
  assert.deepEqual(metrics.get("otel.sdk.exporter.span.exported"), { "": 80, rejected: 1, 503: 6 });
  assert.deepEqual(metrics.get("otel.sdk.exporter.metric_data_point.inflight"), { "": 4 });
});

test("docs/telemetry.md has each of them, and no other", async () => {
  const docs = readFileSync(join(import.meta.dirname, "../../../../../docs/telemetry.md"), "utf8");
  const table = docs.slice(docs.indexOf("| metric of the export |")).split("\n\n")[0]!;
  const names = new Set(["otel.sdk.span.started"]);
  for (const row of table.split("\n").slice(2)) {
    let last = "";
    for (const [, name = ""] of row.split("|")[1]!.matchAll(/`([^`]+)`/g)) {
      last = name.startsWith(".") ? last.slice(0, last.lastIndexOf(".")) + name : name;
      names.add(last);
    }
  }
  assert.deepEqual([...(await collected()).keys()].sort(), [...names].sort());
});
