import { formatConnectTimeout } from "../../codec/timeout.ts";
import type { Context } from "../../context/context.ts";
import { remainingMs } from "../../context/with.ts";
import { baggageHeader } from "../../metadata/baggage.ts";
import { outgoingHeaders } from "../../metadata/call.ts";
import { isOfBody } from "../../metadata/framing.ts";
import { PRIORITY_HEADER, priorityHeader } from "../../metadata/priority.ts";
import { currentTrace } from "../../metadata/trace.ts";

/** What of the headers a protocol has its own way with. */
export interface HeaderForm {
  /** The header that says how much time is left, and how. */
  readonly timeout: string;
  readonly formatTimeout: (ms: number) => string;
  /** Whether callers cannot set a header: it is the protocol's own. */
  readonly isReserved: (name: string) => boolean;
}

const connect: HeaderForm = {
  timeout: "connect-timeout-ms",
  formatTimeout: formatConnectTimeout,
  isReserved: isOfBody,
};

/**
 * The headers of one call: those of the method, and what the context carries over the hop (remaining time, trace, baggage,
 * priority, headers set with `withHeaders`). The list given is returned untouched when the context adds nothing.
 *
 * @throws ServiceError the context's own, when it is done already: what is hopeless is not sent.
 */
export function callHeaders(
  ctx: Context,
  fixed: readonly string[],
  { timeout, formatTimeout, isReserved }: HeaderForm = connect,
): readonly string[] {
  const left = remainingMs(ctx);
  const { err } = ctx;
  if (err !== undefined) throw err;
  const trace = currentTrace(ctx);
  const members = baggageHeader(ctx);
  const priority = priorityHeader(ctx);
  const own = outgoingHeaders(ctx);
  if (
    left === Infinity &&
    trace === undefined &&
    members === undefined &&
    priority === undefined &&
    own === undefined
  ) {
    return fixed;
  }
  const headers = fixed.slice();
  if (left !== Infinity) headers.push(timeout, formatTimeout(left));
  if (trace !== undefined) {
    headers.push("traceparent", trace.traceparent);
    if (trace.tracestate !== undefined) headers.push("tracestate", trace.tracestate);
  }
  if (members !== undefined) headers.push("baggage", members);
  if (priority !== undefined) headers.push(PRIORITY_HEADER, priority);
  if (own !== undefined) {
    for (const [name, value] of own.entries()) if (!isReserved(name)) headers.push(name, value);
  }
  return headers;
}
