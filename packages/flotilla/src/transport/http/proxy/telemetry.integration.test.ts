import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { circuitBreaker } from "../../../resilience/breaker/circuit-breaker.ts";
import { channel } from "../../../service/channel.ts";
import { serverDefaults } from "../../../service/defaults.ts";
import { host } from "../../../service/host.ts";
import type { LogData } from "../../../telemetry/model.ts";
import { telemetry } from "../../../telemetry/telemetry.ts";
import { attributesOf, RecordingSink } from "../../../telemetry/trace/test-fixtures/recorder.ts";
import { http } from "../server.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { upstream } from "./test-fixtures/proxied.ts";

test("a request goes on in its trace; it is a span, a line and a metric at either side of the proxy", async (t) => {
  const seen: IncomingHttpHeaders[] = [];
  const { address } = await upstream(t, (req, res) => {
    seen.push(req.headers);
    if (req.url === "/orders/no") res.statusCode = 404;
    res.end("done");
  });
  const sink = new RecordingSink();
  const lines: LogData[] = [];
  const nowhere = openSync("/dev/null", "w");
  t.after(() => closeSync(nowhere));
  const observed = telemetry({
    service: "edge",
    traces: { sinks: [sink] },
    logs: { fd: nowhere, sinks: [{ emit: (line) => void lines.push(line) }] },
    onError() {},
  });
  const orders = channel({
    discover: [address],
    transport: proxyClient(),
    telemetry: observed,
    perInstance: () => [circuitBreaker()],
  });
  const edge = await host({
    name: "edge",
    listen: [http({ protocols: [proxy({ path: "/orders", over: orders, service: "orders", use: serverDefaults() })] })],
    telemetry: observed,
    close: [orders],
    onEvent() {},
  }).start();
  const trace = "a".repeat(32);
  const headers = {
    traceparent: `00-${trace}-${"b".repeat(16)}-01`,
    baggage: "tenant=7",
    "x-request-priority": "critical",
  };
  const answer = await fetch(`${edge.addresses[0]}/orders/1`, { headers });
  assert.equal(await answer.text(), "done");
  assert.equal((await fetch(`${edge.addresses[0]}/orders/no`, { headers })).status, 404);
  const metrics = await (await fetch(`${edge.adminAddress}/metrics`)).text();
  await edge.stop();

  const [server, client] = [sink.spans.filter(({ kind }) => kind === 1), sink.spans.filter(({ kind }) => kind === 2)];
  assert.equal(server.length, 2);
  assert.equal(client.length, 2);
  for (const span of [...server, ...client]) {
    assert.equal(span.name, "orders/GET");
    assert.equal(span.traceId, trace);
  }
  const statuses = server.map((span) => Number(attributesOf(span.attributes)["http.response.status_code"]));
  assert.deepEqual(
    statuses.toSorted((a, b) => a - b),
    [200, 404],
  );
  assert.equal(seen[0]!["traceparent"], `00-${trace}-${client[0]!.spanId}-01`);
  assert.equal(seen[0]!["baggage"], "tenant=7");
  assert.equal(seen[0]!["x-request-priority"], "critical");
  assert.match(metrics, /orders\/GET/);
  const told = lines.filter(({ attributes }) => JSON.stringify(attributes).includes("orders/GET"));
  assert.equal(told.length, 2);
});
