import type { AddressInfo } from "node:net";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { pino } from "pino";
import { ready } from "../lib/ready.ts";
import { sumPath } from "../lib/sum.ts";

/** What is exported of all requests; the rest is carried on as context. */
const EXPORTED_SHARE = 0.1;
/** A limit that is reckoned with and never reached. */
const NEVER_REACHED = 1e9;

const url = `${process.argv[2] ?? "http://127.0.0.1:4318"}/v1/traces`;
const provider = new TracerProvider({
  sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(EXPORTED_SHARE) }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })],
});
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
trace.setGlobalTracerProvider(provider);
registerInstrumentations({
  tracerProvider: provider,
  instrumentations: [new HttpInstrumentation({ disableOutgoingRequestInstrumentation: true })],
});
// Loaded after the instrumentation, which patches node:http as it is required.
const { default: fastify } = await import("fastify");
const { default: rateLimit } = await import("@fastify/rate-limit");

const number = { type: "number" } as const;
const app = fastify({
  loggerInstance: pino({ level: "info" }, pino.destination({ dest: "/dev/null", sync: false })),
  // One line a request instead of two.
  disableRequestLogging: true,
});
app.addHook("onResponse", (request, reply, done) => {
  request.log.info({ req: request, res: reply, responseTime: reply.elapsedTime }, "request completed");
  done();
});
await app.register(rateLimit, { max: NEVER_REACHED, timeWindow: 1000 });
app.post<{ Body: { a: number; b: number } }>(
  sumPath,
  {
    schema: {
      body: { type: "object", required: ["a", "b"], properties: { a: number, b: number } },
      response: { 200: { type: "object", required: ["v"], properties: { v: number } } },
    },
  },
  async ({ body }) => ({ v: body.a + body.b }),
);
await app.listen({ port: 0, host: "127.0.0.1" });
ready((app.server.address() as AddressInfo).port);
