import { drawTrace } from "flotilla/telemetry";
import { isComplete } from "./collector.ts";
import type { Display } from "./display.ts";
import type { CollectedSpan } from "./otlp.ts";

/** Spans of all processes have come after so long. */
const settledMs = 2000;
/** What is worth a look goes through so many services. */
const fewestServices = 3;

/** The way of the newest request that went through several services, as lines for the terminal; empty when there was none yet. */
export function tracePicture(
  traces: readonly (readonly CollectedSpan[])[],
  nowMs: number,
  { columns, colour }: Pick<Display, "columns" | "colour">,
): string[] {
  const shown = traces.findLast((spans) => {
    const settled = spans.every(({ startEpochMs }) => nowMs - startEpochMs > settledMs);
    return settled && new Set(spans.map(({ service }) => service)).size >= fewestServices && isComplete(spans);
  });
  if (shown === undefined) return [];
  const services = new Map(shown.map((span) => [span.spanId, span.service]));
  const service = ({ spanId }: { readonly spanId: string }): string => services.get(spanId) ?? "";
  return drawTrace(shown, { columns: Math.min(columns, 120), colour, service })
    .trimEnd()
    .split("\n");
}
