import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { encodeLoop } from "../../lib/encode-loop.ts";
import { sdkSpans } from "../../lib/finished-spans.ts";
import { serveLoop } from "../../lib/worker.ts";

const spans = sdkSpans();
serveLoop(
  encodeLoop(() => ProtobufTraceSerializer.serializeRequest(spans) ?? new Uint8Array()),
  512,
);
