import { sdkTracing } from "../../lib/sdk-tracing.ts";
import { endSpan, spanLoop } from "../../lib/spans.ts";
import { serveLoop } from "../../lib/worker.ts";

const { tracer, flush } = sdkTracing(false);
serveLoop(spanLoop((i) => endSpan(tracer, i), flush));
