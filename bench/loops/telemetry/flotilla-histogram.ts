import { createMeterProvider } from "flotilla/telemetry";
import { serveLoop } from "../../lib/worker.ts";

const histogram = createMeterProvider()
  .getMeter("bench")
  .createHistogram("rpc.server.call.duration", {
    unit: "s",
    advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] },
  });
const bound = histogram.bind({ "rpc.method": "calc.v1.Calculator/sum", "rpc.response.status_code": "OK" });

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) bound.record((i & 1023) / 512);
  return bound;
});
