/**
 * A service whose handler uses a library that was instrumented for OpenTelemetry: `node:http`, by the official instrumentation. Calls itself
 * once and tells its spans, and what the library's server was sent.
 */
import type * as NodeHttp from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { context, propagation, trace } from "@opentelemetry/api";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { z } from "zod";
import { background } from "../../../context/with.ts";
import { contract } from "../../../contract/contract.ts";
import { unary } from "../../../contract/method.ts";
import { withBaggage } from "../../../metadata/baggage.ts";
import { channel, client } from "../../../service/channel.ts";
import { host } from "../../../service/host.ts";
import { implement } from "../../../service/implement.ts";
import { memory } from "../../../transport/memory/memory.ts";
import { telemetry } from "../../telemetry.ts";
import { bridge } from "../bridge.ts";
import { RecordingSink } from "./recorder.ts";

const sink = new RecordingSink();
const observed = telemetry({ env: {}, traces: { sinks: [sink] }, metrics: false, logs: false });
const bridged = bridge();
context.setGlobalContextManager(bridged);
trace.setGlobalTracerProvider(observed.tracerProvider!);
propagation.setGlobalPropagator(
  new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
);
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });
// Patched as it is required, so after that.
const http = createRequire(import.meta.url)("node:http") as typeof NodeHttp;

let seen: NodeHttp.IncomingHttpHeaders = {};
const foreign = http.createServer((request, response) => {
  seen = request.headers;
  response.end("ok");
});
await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
const { port } = foreign.address() as AddressInfo;

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message }) });
const net = memory();
const running = await host({
  name: "work",
  serve: [
    implement(
      Work,
      {
        do: (_ctx, request) =>
          new Promise((resolve, reject) => {
            http
              .get({ port, host: "127.0.0.1", agent: false }, (response) => {
                response.resume().on("end", () => resolve(request));
              })
              .on("error", reject);
          }),
      },
      { use: [bridged.middleware] },
    ),
  ],
  listen: [net.listener("work")],
  telemetry: observed,
  admin: false,
  onEvent() {},
}).start();
const over = channel({ discover: ["memory://work"], transport: net, telemetry: observed });
await client(Work, over).do(withBaggage(background(), { tenant: "a b" }), { n: 1 });
await over.close();
await running.stop();
await new Promise((resolve) => foreign.close(resolve));
const spans = sink.spans.map(({ name, kind, traceId, spanId, parentSpanId }) => ({
  name,
  kind,
  traceId,
  spanId,
  parentSpanId,
}));
process.send?.({ spans, traceparent: seen["traceparent"], baggage: seen["baggage"] });
process.disconnect();
