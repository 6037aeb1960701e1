import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TracerProvider } from "@opentelemetry/api";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";
import { telemetry } from "./telemetry.ts";
import { inSpan } from "./trace/in-span.ts";

test("flush writes the lines that wait, and flushes the sinks of spans", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-flush-"));
  const fd = openSync(join(folder, "log"), "w");
  t.after(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const spans: string[] = [];
  const sink = {
    end: () => void spans.push("ended"),
    flush: async () => void spans.push("flushed"),
    close: () => Promise.resolve(),
  };
  const observed = telemetry({
    env: {},
    metrics: false,
    traces: { sinks: [sink] },
    // Far longer than the test takes.
    logs: { fd, flushMs: 3_600_000, format: "json" },
  });
  t.after(() => observed.close());
  await inSpan(observed.enter!(background()), "work", {}, () => {});
  observed.logger!.info("before the freeze");
  assert.equal(readFileSync(join(folder, "log"), "utf8"), "");
  await observed.flush();
  assert.match(readFileSync(join(folder, "log"), "utf8"), /before the freeze/);
  assert.deepEqual(spans, ["ended", "flushed"]);
});

test("flush has a provider of the program's own do so, where it can", async () => {
  let flushed = 0;
  const of = (provider: object) =>
    telemetry({ env: {}, metrics: false, logs: false, traces: { provider: provider as TracerProvider } });
  const getTracer = () => ({ startSpan: () => assert.fail("called") });
  await of({ getTracer, forceFlush: async () => void flushed++ }).flush();
  await of({ getTracer }).flush();
  assert.equal(flushed, 1);
});

test("flush takes no longer than it may, and tells of what failed instead of failing", async () => {
  const wrong: Error[] = [];
  const clock = new VirtualClock();
  const of = (flush: () => Promise<void>) => {
    const sink = { end() {}, flush, close: () => Promise.resolve() };
    const onError = (error: Error) => void wrong.push(error);
    return telemetry({ env: {}, metrics: false, logs: false, traces: { sinks: [sink] }, clock, onError });
  };
  const stuck = of(() => new Promise(() => {})).flush(700);
  await clock.run(700);
  await stuck;
  assert.equal(wrong.length, 0);
  await of(() => Promise.reject(new Error("no collector"))).flush();
  assert.match(String(wrong[0]?.cause), /no collector/);
});
