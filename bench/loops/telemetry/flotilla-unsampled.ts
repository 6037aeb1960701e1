import { leanTracing } from "../../lib/lean-tracing.ts";
import { endSpan, spanLoop } from "../../lib/spans.ts";
import { serveLoop } from "../../lib/worker.ts";

const { tracer, flush } = leanTracing(false);
serveLoop(spanLoop((i) => endSpan(tracer, i), flush));
