import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Service, ServiceBroker } from "moleculer";
import ApiGateway from "moleculer-web";
import { ready } from "../lib/ready.ts";

/** What is exported of all requests. */
const EXPORTED_SHARE = 0.1;

const broker = new ServiceBroker({
  logger: { type: "Pino", options: { pino: { options: { level: "info" }, destination: "/dev/null" } } },
  metrics: { enabled: true, reporter: { type: "Prometheus", options: { port: 0, host: "127.0.0.1" } } },
  tracing: {
    enabled: true,
    sampling: { rate: EXPORTED_SHARE },
    exporter: { type: "Zipkin", options: { baseURL: process.argv[2] ?? "http://127.0.0.1:9411", interval: 1 } },
  },
  circuitBreaker: { enabled: true },
  bulkhead: { enabled: true, concurrency: 1000, maxQueueSize: 1000 },
  retryPolicy: { enabled: true, retries: 3 },
  requestTimeout: 5000,
});
broker.createService({
  name: "calculator",
  actions: {
    sum: {
      params: { a: "number", b: "number" },
      handler: ({ params }: { params: { a: number; b: number } }) => ({ v: params.a + params.b }),
    },
  },
});
const gateway: Service & { server?: Server } = broker.createService({
  name: "gateway",
  mixins: [ApiGateway],
  settings: {
    port: 0,
    ip: "127.0.0.1",
    rateLimit: { window: 1000, limit: 1e9 },
    routes: [{ path: "/calc.v1.Calculator", aliases: { "POST sum": "calculator.sum" }, bodyParsers: { json: true } }],
  },
});
await broker.start();
const address = gateway.server?.address() as AddressInfo | undefined;
if (address === undefined) throw new Error("the gateway has started no server");
ready(address.port);
