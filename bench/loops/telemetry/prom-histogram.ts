import { Histogram, Registry } from "prom-client";
import { serveLoop } from "../../lib/worker.ts";

const histogram = new Histogram({
  name: "rpc_server_call_duration_seconds",
  help: "Duration of calls.",
  labelNames: ["rpc_method", "rpc_response_status_code"],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  registers: [new Registry()],
});
const bound = histogram.labels("calc.v1.Calculator/sum", "OK");

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) bound.observe((i & 1023) / 512);
  return bound;
});
