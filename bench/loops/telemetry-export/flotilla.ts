import { traceEncoder } from "flotilla/telemetry";
import { encodeLoop } from "../../lib/encode-loop.ts";
import { leanSpans } from "../../lib/finished-spans.ts";
import { serveLoop } from "../../lib/worker.ts";

const spans = leanSpans(true);
const encode = traceEncoder({ attributes: { "service.name": "bench" } });
serveLoop(
  encodeLoop(() => encode(spans).bytes),
  512,
);
