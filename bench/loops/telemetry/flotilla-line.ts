import { background } from "flotilla/context";
import { log } from "flotilla/telemetry";
import { loggingOnly } from "../../lib/bench-log.ts";
import { serveLoop } from "../../lib/worker.ts";

const observed = loggingOnly();
const ctx = observed.enter?.(background()) ?? background();

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) {
    log(ctx).info(
      { "rpc.method": "calc.v1.Calculator/sum", "rpc.response.status_code": "ok", duration_ms: i / 1000 },
      "call",
    );
  }
  return observed;
});
