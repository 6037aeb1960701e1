import { leanSpan } from "../../lib/lean-span.ts";
import { leanTracing } from "../../lib/lean-tracing.ts";
import { spanLoop } from "../../lib/spans.ts";
import { serveLoop } from "../../lib/worker.ts";

const { tracer, flush } = leanTracing(true);
serveLoop(spanLoop((i) => leanSpan(tracer, i), flush));
