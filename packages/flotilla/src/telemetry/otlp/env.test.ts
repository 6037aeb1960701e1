import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codePoint } from "../../../test/code-point.ts";
import { batcher } from "./batcher.ts";
import { otlpFromEnv } from "./env.ts";
import { otlpExporter } from "./exporter.ts";

test("an empty environment gives the defaults of the specification", () => {
  for (const env of [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: "", OTEL_EXPORTER_OTLP_TIMEOUT: " " }]) {
    const { traces, metrics, logs, spanBatch, errors } = otlpFromEnv(env);
    const common = { headers: {}, timeoutMs: 10_000, compression: "none", tls: {}, endpointGiven: false };
    assert.deepEqual(traces, { signal: "traces", url: "http://localhost:4318/v1/traces", ...common });
    assert.deepEqual(metrics, { signal: "metrics", url: "http://localhost:4318/v1/metrics", ...common });
    assert.deepEqual(logs, { signal: "logs", url: "http://localhost:4318/v1/logs", ...common });
    assert.deepEqual(spanBatch, {});
    assert.deepEqual(errors, []);
  }
});

test("a general endpoint gets the signal's path, a signal's own is taken as it is", () => {
  const { traces, metrics, errors } = otlpFromEnv({
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector:4318/tenant/",
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://other:9090",
  });
  assert.deepEqual(errors, []);
  assert.equal(traces.url, "https://collector:4318/tenant/v1/traces");
  assert.equal(traces.endpointGiven, true);
  assert.equal(metrics.url, "http://other:9090/");
});

test("a signal's own variables win; headers are decoded and joined", () => {
  const { traces, logs, errors } = otlpFromEnv({
    OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%20b%3Dc, Tenant = one ,",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "tenant=two",
    OTEL_EXPORTER_OTLP_TIMEOUT: "500",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "700",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_LOGS_COMPRESSION: "none",
    OTEL_EXPORTER_OTLP_CERTIFICATE: "/ca.pem",
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: "/key.pem",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(traces.headers, { "api-key": "a b=c", tenant: "two" });
  assert.deepEqual(logs.headers, { "api-key": "a b=c", tenant: "one" });
  assert.deepEqual([traces.timeoutMs, logs.timeoutMs], [700, 500]);
  assert.deepEqual([traces.compression, logs.compression], ["gzip", "none"]);
  assert.deepEqual([traces.tls, logs.tls], [{ caFile: "/ca.pem", keyFile: "/key.pem" }, { caFile: "/ca.pem" }]);
});

test("batch settings", () => {
  const { spanBatch, logBatch, errors } = otlpFromEnv({
    OTEL_BSP_SCHEDULE_DELAY: "0",
    OTEL_BSP_EXPORT_TIMEOUT: "1000",
    OTEL_BSP_MAX_QUEUE_SIZE: "100",
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "200",
    OTEL_BLRP_MAX_QUEUE_SIZE: "10",
  });
  assert.deepEqual(spanBatch, { maxQueue: 100, maxBatch: 100, delayMs: 0, exportTimeoutMs: 1000 });
  assert.deepEqual(logBatch, { maxQueue: 10 });
  assert.deepEqual(errors, ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE is 200, more than the queue holds: 100 is used"]);
});

test("what cannot be used is named once, secrets are not repeated, and the default stands in", () => {
  const { traces, errors } = otlpFromEnv({
    OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://user:secret@collector",
    OTEL_EXPORTER_OTLP_HEADERS: "secret-without-a-name,good=1,bad=%zz,split=a%0d%0ab",
    OTEL_EXPORTER_OTLP_TIMEOUT: "10s",
    OTEL_EXPORTER_OTLP_COMPRESSION: "zstd",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_BSP_MAX_QUEUE_SIZE: "many",
  });
  assert.equal(traces.url, "http://localhost:4318/v1/traces");
  assert.equal(traces.endpointGiven, false);
  assert.deepEqual(traces.headers, { good: "1" });
  assert.equal(traces.timeoutMs, 10_000);
  assert.equal(
    errors.some((error) => error.includes("secret")),
    false,
  );
  for (const [pattern, count] of [
    [/^OTEL_EXPORTER_OTLP_ENDPOINT .* needs http:\/\/ or https:\/\//, 1],
    [/^OTEL_EXPORTER_OTLP_TRACES_ENDPOINT .* without credentials/, 1],
    [/^OTEL_EXPORTER_OTLP_HEADERS /, 3],
    [/^OTEL_EXPORTER_OTLP_TIMEOUT is "10s"/, 1],
    [/^OTEL_EXPORTER_OTLP_COMPRESSION is "zstd"/, 1],
    [/^OTEL_EXPORTER_OTLP_PROTOCOL is "grpc".*4318/, 1],
    [/^OTEL_BSP_MAX_QUEUE_SIZE is "many"/, 1],
  ] as const) {
    assert.equal(errors.filter((error) => pattern.test(error)).length, count, String(pattern));
  }
});

test("whatever the environment says, the settings are ones that exporter and batcher take", async () => {
  const suffixes = ["ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION", "PROTOCOL"];
  const names = ["", "TRACES_", "LOGS_"].flatMap((signal) =>
    suffixes.map((suffix) => `OTEL_EXPORTER_OTLP_${signal}${suffix}`),
  );
  const batches = ["SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"].map(
    (suffix) => `OTEL_BSP_${suffix}`,
  );
  const texts = fc.oneof(
    fc.string({ unit: codePoint }),
    fc.constantFrom(
      "http://x",
      "https://x:1/?q=1",
      "a=b",
      "host=x",
      "content-length=3",
      "a=%ff",
      "é=1",
      "a=é",
      "a=\u0100",
      "0",
      "-1",
      "1e3",
      "5",
      "99999",
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom(...names, ...batches), texts), async (env) => {
      const { traces, spanBatch } = otlpFromEnv(env);
      const exporter = otlpExporter({ ...traces, resource: { attributes: {} } });
      await batcher({ ...spanBatch, exporter }).close();
    }),
  );
});
