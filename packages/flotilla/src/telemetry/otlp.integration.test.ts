import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, test } from "node:test";
import { skipWithout } from "../../../../scripts/servers.ts";
import { background } from "../context/with.ts";
import { certificate } from "../transport/http/test-fixtures/certificate.ts";
import { log } from "./log/logger.ts";
import { logFile } from "./log/test-fixtures/log-bed.ts";
import { decodeRequest, type Signal } from "./otlp/test-fixtures/decode.ts";
import { telemetry } from "./telemetry.ts";
import { inSpan } from "./trace/in-span.ts";

const SIGNALS: Readonly<Record<string, Signal>> = {
  "/v1/traces": "Trace",
  "/v1/metrics": "Metrics",
  "/v1/logs": "Logs",
};

/** What came, decoded, by signal. */
type Received = Record<Signal, object[]>;

/** A collector: takes OTLP over HTTP, or HTTPS with a certificate. */
async function collector(tls?: { key: string; cert: string }): Promise<{ port: number; received: Received }> {
  const received: Received = { Trace: [], Metrics: [], Logs: [] };
  const take: RequestListener = (request, response) => {
    void buffer(request).then((body) => {
      const signal = SIGNALS[request.url ?? ""]!;
      received[signal].push(decodeRequest(signal, body) as object);
      response.setHeader("content-type", "application/x-protobuf");
      response.end();
    });
  };
  const server: Server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => void server.close());
  return { port: (server.address() as AddressInfo).port, received };
}

interface Point {
  readonly asDouble?: number;
}

/** The points of a metric in each request that had it, and their temporality: 1 delta, 2 cumulative. */
function pointsOf(received: Received, wanted: string): { temporality: number; points: Point[] }[] {
  const requests = received.Metrics as {
    resourceMetrics: { scopeMetrics: { metrics: Record<string, unknown>[] }[] }[];
  }[];
  const metrics = requests.flatMap(({ resourceMetrics }) =>
    resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics)),
  );
  return metrics
    .filter(({ name }) => name === wanted)
    .map((metric) => {
      const data = (metric["sum"] ?? metric["histogram"]) as { aggregationTemporality: number; dataPoints: Point[] };
      return { temporality: data.aggregationTemporality, points: data.dataPoints };
    });
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(condition());
}

for (const [preference, temporality, totals] of [
  ["cumulative", 2, [3, 7]],
  ["delta", 1, [3, 4]],
] as const) {
  test(`metrics go out at every interval and at the end, ${preference}`, async () => {
    const { port, received } = await collector();
    const observed = telemetry({
      service: "shop",
      traces: false,
      logs: false,
      metrics: { process: false },
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_METRIC_EXPORT_INTERVAL: "50",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: preference,
      },
    });
    const orders = observed.meter!.createCounter("orders");
    orders.add(3);
    await until(() => pointsOf(received, "orders").length > 0);
    orders.add(4);
    await observed.close();
    const sent = pointsOf(received, "orders");
    assert.ok(sent.every((one) => one.temporality === temporality));
    // Between the two there may have been intervals in which nothing was counted.
    const values = sent
      .flatMap(({ points }) => points.map(({ asDouble = 0 }) => asDouble))
      .filter((value) => value !== 0);
    assert.deepEqual([...new Set(values)], totals);
  });
}

test("logs go out as records of the trace they belong to, beside the lines", async () => {
  const { port, received } = await collector();
  const file = logFile();
  const observed = telemetry({
    service: "shop",
    metrics: false,
    logs: { fd: file.fd, format: "json", redact: ["token"] },
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_LOGS_EXPORTER: "otlp" },
  });
  const ctx = observed.enter!(background());
  await inSpan(ctx, "work", {}, (inner) => {
    log(inner, "db").warn({ token: "secret", rows: 3 }, "slow\nquery");
  });
  await observed.close();
  assert.equal(received.Logs.length, 1);
  const text = JSON.stringify(received.Logs[0]);
  assert.ok(!text.includes("secret"));
  const request = received.Logs[0] as {
    resourceLogs: { scopeLogs: { scope: object; logRecords: Record<string, unknown>[] }[] }[];
  };
  const [scoped] = request.resourceLogs[0]?.scopeLogs ?? [];
  const [record] = scoped?.logRecords ?? [];
  assert.deepEqual(
    [scoped?.scope, record?.["severityNumber"], record?.["severityText"], record?.["body"], record?.["flags"]],
    [{ name: "db" }, 13, "WARN", { stringValue: "slow\nquery" }, 3],
  );
  const [line] = file.lines();
  const hex = (name: string): string => Buffer.from(String(record?.[name]), "base64").toString("hex");
  assert.deepEqual([hex("traceId"), hex("spanId")], [line?.["trace_id"], line?.["span_id"]]);
  const spans = JSON.stringify(received.Trace);
  assert.ok(spans.includes(String(record?.["spanId"])));
  file.remove();
});

test("over https, to whom the certificate named in the environment trusts, and to nobody else", {
  skip: await skipWithout("openssl"),
}, async () => {
  const own = await certificate();
  const folder = mkdtempSync(join(tmpdir(), "flotilla-otlp-"));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, own.cert);
  const { port, received } = await collector(own);
  const send = async (env: Record<string, string>): Promise<string[]> => {
    const wrong: string[] = [];
    const observed = telemetry({
      metrics: false,
      logs: false,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${port}`, ...env },
      onError: (error) => wrong.push(error.message),
    });
    const ctx = observed.enter!(background());
    for (let i = 0; i < 3; i++) await inSpan(ctx, "work", {}, () => {});
    await observed.close(1000);
    return wrong;
  };
  assert.deepEqual(await send({ OTEL_EXPORTER_OTLP_CERTIFICATE: caFile }), []);
  assert.equal(received.Trace.length, 1);
  const wrong = await send({});
  assert.equal(received.Trace.length, 1, "nothing to a stranger");
  assert.ok(wrong.length >= 1 && wrong.every((message) => message.includes("/v1/traces")), wrong.join("\n"));
  assert.match(wrong.join("\n"), /self-signed certificate/);
  rmSync(folder, { recursive: true });
});
