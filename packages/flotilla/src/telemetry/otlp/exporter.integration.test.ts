import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { SpanData } from "../model.ts";
import { type BatcherOptions, batcher } from "./batcher.ts";
import { type OtlpExporterOptions, otlpExporter } from "./exporter.ts";
import { span } from "./test-fixtures/samples.ts";

interface Counts {
  requests: number;
  items: number;
  names: string[];
  wrong: string[];
}

interface Collector {
  readonly port: number;
  counts(): Promise<Counts>;
  kill(): Promise<void>;
}

const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

async function collector(port = 0): Promise<Collector> {
  const child = fork(join(import.meta.dirname, "test-fixtures", "collector.ts"), [String(port)], { stdio: "inherit" });
  children.add(child);
  const [ready] = (await once(child, "message")) as [{ port: number }];
  return {
    port: ready.port,
    async counts() {
      child.send({});
      return ((await once(child, "message")) as [Counts])[0];
    },
    async kill() {
      children.delete(child);
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** A batcher before an exporter before a collector. */
function pipeline(
  port: number,
  fault: string,
  options: Partial<OtlpExporterOptions<"traces">> = {},
  batch: Partial<BatcherOptions<SpanData>> = {},
) {
  const exporter = otlpExporter({
    signal: "traces",
    resource: { attributes: { "service.name": "test" } },
    url: `http://127.0.0.1:${port}/${fault}/v1/traces`,
    ...options,
  });
  return { exporter, queue: batcher({ exporter, delayMs: 10, ...batch }) };
}

const shared = await collector();
after(() => shared.kill());

for (const compression of ["none", "gzip"] as const) {
  test(`spans arrive, compression ${compression}`, async () => {
    const { exporter, queue } = pipeline(shared.port, "count", { compression });
    const before = await shared.counts();
    for (let i = 0; i < 1200; i++) queue.add(span({ name: `${compression}-${i}` }));
    assert.equal(await queue.flush(), true);
    await queue.close();
    const { items, requests, names, wrong } = await shared.counts();
    assert.deepEqual(wrong, []);
    assert.deepEqual([items - before.items, requests - before.requests], [1200, 3]);
    assert.deepEqual(
      names.filter((name) => name.startsWith(compression)),
      Array.from({ length: 1200 }, (_, i) => `${compression}-${i}`),
    );
    assert.equal(exporter.counters.exported, 1200);
  });
}

test("a batch too big for one request goes in parts; an item too big for one is dropped", async () => {
  const { exporter, queue } = pipeline(shared.port, "count", { maxRequestBytes: 10_000 });
  const before = await shared.counts();
  for (let i = 0; i < 100; i++) queue.add(span({ attributes: ["text", "x".repeat(i === 50 ? 20_000 : 500)] }));
  assert.equal(await queue.flush(), true);
  await queue.close();
  const { items, requests } = await shared.counts();
  assert.equal(items - before.items, 99);
  assert.ok(requests - before.requests >= 7);
  assert.deepEqual([...exporter.counters.failed], [["too_large", 1]]);
  assert.deepEqual([exporter.counters.exported, queue.counters.failed], [99, 0]);
});

for (const [fault, expected] of [
  ["garbage", { exported: 5, rejected: 0, failed: [] }],
  ["rejecting", { exported: 2, rejected: 3, failed: [] }],
  ["cut", { exported: 5, rejected: 0, failed: [] }],
  ["endless", { exported: 5, rejected: 0, failed: [] }],
  ["drip", { exported: 5, rejected: 0, failed: [] }],
  ["redirect", { exported: 0, rejected: 0, failed: [["307", 5]] }],
  ["silent", { exported: 0, rejected: 0, failed: [["timeout", 5]] }],
  ["reset", { exported: 0, rejected: 0, failed: [["connection", 5]] }],
] as const) {
  test(`a collector at fault: ${fault}`, async () => {
    // `drip` is cut off after 2 s by the exporter.
    const { exporter, queue } = pipeline(shared.port, fault, { timeoutMs: fault === "drip" ? 10_000 : 1500 });
    for (let i = 0; i < 5; i++) queue.add(span());
    assert.equal(await queue.flush(), true);
    const { exported, rejected, failed, inflight } = exporter.counters;
    assert.deepEqual({ exported, rejected, failed: [...failed] }, expected);
    assert.equal(inflight, 0);
    await queue.close();
  });
}

test("nobody listens: everything is counted, nothing is thrown", async () => {
  const gone = await collector();
  await gone.kill();
  const errors: string[] = [];
  const { exporter, queue } = pipeline(gone.port, "count", {
    timeoutMs: 300,
    onError: ({ message }) => errors.push(message),
  });
  queue.add(span());
  assert.equal(await queue.flush(), true);
  await queue.close();
  assert.deepEqual([...exporter.counters.failed], [["connection", 1]]);
  assert.match(errors[0] ?? "", /ECONNREFUSED/);
});

test("a collector killed and restarted under load: what is lost is counted, memory is bounded, nobody waits", async () => {
  let current = await collector();
  const { port } = current;
  const { exporter, queue } = pipeline(port, "count", { timeoutMs: 60_000 }, { maxQueue: 4096 });
  let added = 0;
  let slowest = 0;
  const stop = new AbortController();
  const load = (async () => {
    while (!stop.signal.aborted) {
      const start = performance.now();
      for (let i = 0; i < 100; i++) queue.add(span({ name: "load" }));
      slowest = Math.max(slowest, performance.now() - start);
      added += 100;
      assert.ok(queue.counters.queueSize <= 4096);
      await wait(1);
    }
  })();
  const until = async (condition: () => boolean): Promise<void> => {
    const end = performance.now() + 20_000;
    while (!condition()) {
      assert.ok(performance.now() < end, `never came: ${condition.toString()}`);
      await wait(5);
    }
  };
  await until(() => exporter.counters.exported > 2000);
  const first = await current.counts();
  await current.kill();
  await until(() => queue.counters.droppedQueueFull > 1000);
  const before = exporter.counters.exported;
  current = await collector(port);
  await until(() => exporter.counters.exported > before + 5000);
  stop.abort();
  await load;
  assert.equal(await queue.flush(), true);
  const second = await current.counts();
  await queue.close();
  await current.kill();
  const { exported, failed, retries } = exporter.counters;
  assert.equal(added, exported + queue.counters.droppedQueueFull);
  assert.deepEqual([...failed], []);
  assert.ok(retries > 0);
  assert.deepEqual([...first.wrong, ...second.wrong], []);
  // The first was asked before it was killed, so it may have taken more than it told.
  assert.ok(first.items + second.items <= exported + 512);
  assert.ok(second.items >= 5000);
  assert.ok(slowest < 200, `adding 100 spans took ${slowest} ms`);
});

test("close gives a hanging collector the time it was told and no more", async () => {
  const { exporter, queue } = pipeline(shared.port, "silent", { timeoutMs: 60_000 });
  queue.add(span());
  const start = performance.now();
  await queue.close(200);
  assert.ok(performance.now() - start < 2000);
  assert.deepEqual([...exporter.counters.failed], [["canceled", 1]]);
});
