import { readdirSync } from "node:fs";
// It measures the process itself: no clock could be passed in for that.
// oxlint-disable-next-line no-restricted-imports
import {
  constants,
  type EventLoopUtilization,
  monitorEventLoopDelay,
  type PerformanceEntry,
  PerformanceObserver,
  performance,
} from "node:perf_hooks";
import { getHeapSpaceStatistics } from "node:v8";
import { type Meter, ValueType } from "@opentelemetry/api";

/** What Node calls the kinds of garbage collection. */
const GC_KINDS = new Map<number, string>([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);
const DELAY_RESOLUTION_MS = 10;
const GC_BOUNDS = [0.01, 0.1, 1, 10];

/**
 * Utilisation, saturation and errors of the process, by the semantic conventions for Node.js, V8 and processes: delay and utilisation of the
 * event loop, heap by space, garbage collection, processor time, memory, open files, what keeps the process alive.
 *
 * @returns what stops it; nothing that it opened keeps the process alive.
 */
export function processMetrics(meter: Meter): () => void {
  const stops = [eventLoop(meter), garbageCollection(meter)];
  memory(meter);
  resources(meter);
  return () => {
    for (const stop of stops) stop();
  };
}

function eventLoop(meter: Meter): () => void {
  const histogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  histogram.enable();
  const delay = (name: string, what: string) =>
    meter.createObservableGauge(`nodejs.eventloop.delay.${name}`, {
      unit: "s",
      description: `Event loop delay: ${what}.`,
    });
  const gauges = {
    min: delay("min", "least"),
    max: delay("max", "greatest"),
    mean: delay("mean", "mean"),
    stddev: delay("stddev", "standard deviation"),
    p50: delay("p50", "median"),
    p90: delay("p90", "90th percentile"),
    p99: delay("p99", "99th percentile"),
  };
  meter.addBatchObservableCallback((result) => {
    // Nothing was measured since the last time.
    if (histogram.count === 0) return;
    // The timer itself is waited for; what is more is delay.
    const seconds = (nanos: number): number => Math.max(0, nanos / 1e9 - DELAY_RESOLUTION_MS / 1000);
    result.observe(gauges.min, seconds(histogram.min));
    result.observe(gauges.max, seconds(histogram.max));
    result.observe(gauges.mean, seconds(histogram.mean));
    result.observe(gauges.stddev, histogram.stddev / 1e9);
    result.observe(gauges.p50, seconds(histogram.percentile(50)));
    result.observe(gauges.p90, seconds(histogram.percentile(90)));
    result.observe(gauges.p99, seconds(histogram.percentile(99)));
    histogram.reset();
  }, Object.values(gauges));

  let before: EventLoopUtilization = performance.eventLoopUtilization();
  meter
    .createObservableGauge("nodejs.eventloop.utilization", {
      unit: "1",
      description: "Share of time the event loop was busy.",
    })
    .addCallback((result) => {
      const now = performance.eventLoopUtilization();
      result.observe(performance.eventLoopUtilization(now, before).utilization);
      before = now;
    });
  meter
    .createObservableCounter("nodejs.eventloop.time", {
      unit: "s",
      description: "Time the event loop was active or idle.",
    })
    .addCallback((result) => {
      const { active, idle } = performance.eventLoopUtilization();
      result.observe(active / 1000, { "nodejs.eventloop.state": "active" });
      result.observe(idle / 1000, { "nodejs.eventloop.state": "idle" });
    });
  return () => histogram.disable();
}

function garbageCollection(meter: Meter): () => void {
  const duration = meter.createHistogram("v8js.gc.duration", {
    unit: "s",
    description: "Garbage collection.",
    advice: { explicitBucketBoundaries: GC_BOUNDS },
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as PerformanceEntry & { detail?: { kind: number } }).detail ?? { kind: -1 };
      duration.record(entry.duration / 1000, { "v8js.gc.type": GC_KINDS.get(kind) ?? "unknown" });
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

function memory(meter: Meter): void {
  const bytes = { unit: "By", valueType: ValueType.INT };
  const used = meter.createObservableUpDownCounter("v8js.memory.heap.used", { ...bytes, description: "Heap in use." });
  const limit = meter.createObservableUpDownCounter("v8js.memory.heap.limit", {
    ...bytes,
    description: "Heap reserved.",
  });
  meter.addBatchObservableCallback(
    (result) => {
      for (const { space_name, space_used_size, space_size } of getHeapSpaceStatistics()) {
        const space = { "v8js.heap.space.name": space_name };
        result.observe(used, space_used_size, space);
        result.observe(limit, space_size, space);
      }
    },
    [used, limit],
  );
  meter
    .createObservableUpDownCounter("process.memory.usage", {
      ...bytes,
      description: "Memory in use, as the system counts it.",
    })
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
}

function resources(meter: Meter): void {
  meter
    .createObservableCounter("process.cpu.time", { unit: "s", description: "Processor time used." })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe(user / 1e6, { "cpu.mode": "user" });
      result.observe(system / 1e6, { "cpu.mode": "system" });
    });
  meter
    .createObservableGauge("process.uptime", { unit: "s", description: "Time since the process started." })
    .addCallback((result) => result.observe(process.uptime()));
  meter
    .createObservableUpDownCounter("nodejs.active_resources", {
      unit: "{resource}",
      description: "What keeps the event loop alive: sockets, timers, ...",
      valueType: ValueType.INT,
    })
    .addCallback((result) => {
      const counts = new Map<string, number>();
      for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
      for (const [type, count] of counts) result.observe(count, { "nodejs.active_resource.type": type });
    });
  // Linux alone tells.
  if (process.platform !== "linux") return;
  meter
    .createObservableUpDownCounter("process.open_file_descriptor.count", {
      unit: "{file_descriptor}",
      description: "Open files and sockets.",
      valueType: ValueType.INT,
    })
    .addCallback((result) => result.observe(readdirSync("/proc/self/fd").length - 1));
}
