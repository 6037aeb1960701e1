import assert from "node:assert/strict";
import { after, test } from "node:test";
import { z } from "zod";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import { ServiceError } from "../errors/service-error.ts";
import { channel, client } from "../service/channel.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { failureOf, readAll } from "../testing/transport-bed.ts";
import { http } from "../transport/http/server.ts";
import { telemetry } from "./telemetry.ts";
import { attributesOf, RecordingSink } from "./trace/test-fixtures/recorder.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", {
  do: unary({ input: message, output: message }),
  list: serverStream({ input: message, output: message }),
});
const wrong: Error[] = [];
const sink = new RecordingSink();
const observed = telemetry({
  service: "worker",
  version: "1.2.3",
  traces: { sinks: [sink] },
  logs: false,
  env: { OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test", OTEL_METRIC_EXPORT_INTERVAL: "soon" },
  onError: (error) => wrong.push(error),
});
const running = await host({
  name: "worker",
  serve: [
    implement(Work, {
      do(_ctx, { n }) {
        if (n < 0) throw new ServiceError("not_found", "no such thing");
        return { n };
      },
      async *list(_ctx, { n }) {
        for (let i = 0; i < n; i++) yield { n: i };
      },
    }),
  ],
  listen: [http()],
  telemetry: observed,
  onEvent() {},
}).start();
const over = channel({ discover: running.addresses, telemetry: observed });
after(async () => {
  await over.close();
  await running.stop();
  assert.equal(sink.closes, 1, "the host closes telemetry");
});

async function scrape(accept: string): Promise<{ type: string | null; text: string }> {
  const response = await fetch(`${running.adminAddress}/metrics`, { headers: { accept, connection: "close" } });
  assert.equal(response.status, 200);
  return { type: response.headers.get("content-type"), text: await response.text() };
}

test("one line turns tracing and metrics on: spans of both sides, RED of every method, the process, on the admin port", async () => {
  const work = client(Work, over);
  const ctx = background();
  for (let n = 0; n < 5; n++) await work.do(ctx, { n });
  assert.equal((await failureOf(work.do(ctx, { n: -1 }))).code, "not_found");
  assert.equal((await readAll(work.list(ctx, { n: 3 }))).length, 3);
  await fetch(`${running.addresses[0]}/nothing`, { headers: { connection: "close" } });

  // Two a call, one of the request for nothing, one of the wait for the first snapshot.
  assert.equal(sink.spans.length, 16, sink.names.join(", "));
  const calls = sink.spans.filter(({ kind }) => kind === 2);
  const served = sink.spans.filter(({ kind, name }) => kind === 1 && name !== "unknown method");
  const parents = new Set(calls.map(({ spanId }) => spanId));
  for (const { parentSpanId } of served) assert.ok(parents.has(parentSpanId!));
  for (const { preset } of [...calls, ...served]) assert.equal(attributesOf(preset)["rpc.system.name"], "connectrpc");

  const { type, text } = await scrape("text/plain");
  assert.equal(type, "text/plain; version=0.0.4; charset=utf-8");
  for (const line of [
    /^rpc_server_call_duration_seconds_count\{rpc_method="test\.v1\.Work\/do",rpc_response_status_code="ok"\} 5$/m,
    /^rpc_server_call_duration_seconds_count\{error_type="not_found",rpc_method="test\.v1\.Work\/do",rpc_response_status_code="not_found"\} 1$/m,
    /^rpc_client_call_duration_seconds_count\{rpc_method="test\.v1\.Work\/list",rpc_response_status_code="ok"\} 1$/m,
    /^rpc_server_call_duration_seconds_count\{error_type="unimplemented",rpc_method="unknown method",/m,
    /^rpc_server_active_calls\{rpc_method="test\.v1\.Work\/do"\} 0$/m,
    /^rpc_server_request_size_bytes_sum\{rpc_method="test\.v1\.Work\/do"\} [1-9]/m,
    /^# TYPE rpc_server_call_duration_seconds histogram$/m,
    /^target_info\{.*service_name="worker".*\} 1$/m,
    /^target_info\{.*deployment_environment_name="test".*\} 1$/m,
    /^process_cpu_time_seconds_total\{cpu_mode="user"\} /m,
    /^nodejs_eventloop_utilization_ratio /m,
  ]) {
    assert.match(text, line);
  }
});

test("OpenMetrics, when asked for, ends as it must and has exemplars that name traces", async () => {
  await client(Work, over).do(background(), { n: 1 });
  const { type, text } = await scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
  assert.equal(type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.ok(text.endsWith("\n# EOF\n"));
  const exemplar =
    /^rpc_server_call_duration_seconds_bucket\{.*\} \d+ # \{trace_id="([0-9a-f]{32})",span_id="[0-9a-f]{16}"\} /m.exec(
      text,
    );
  assert.ok(exemplar !== null && sink.spans.some(({ traceId }) => traceId === exemplar[1]));
});

test("what is wrong with the environment is told and ignored", () => {
  assert.equal(wrong.length, 1);
  assert.match(wrong[0]!.message, /OTEL_METRIC_EXPORT_INTERVAL is "soon"/);
});

test("OTEL_SDK_DISABLED turns tracing and metrics off", async () => {
  const off = telemetry({ env: { OTEL_SDK_DISABLED: "true" }, logs: false });
  assert.deepEqual([off.tracerProvider, off.meterProvider, Object.keys(off.admin)], [undefined, undefined, ["/state"]]);
  assert.deepEqual(await off.collect(), []);
  await off.close();
});
