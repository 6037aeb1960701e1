import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import { formatLoadReport, LOAD_HEADER } from "../endpoint/load-report.ts";
import { serverCall } from "../metadata/call.ts";

/** Latencies are kept by the number in flight, told apart by powers of two up to this many. */
const CLASSES = 12;
/** So many of each class. */
const KEPT = 16;

/** The last latencies of calls that found about as many in flight. */
class Latencies {
  readonly #ring = new Float64Array(KEPT);
  #count = 0;

  record(ms: number): void {
    this.#ring[this.#count++ % KEPT] = ms;
  }

  get median(): number | undefined {
    const n = Math.min(this.#count, KEPT);
    return n === 0 ? undefined : this.#ring.slice(0, n).sort()[n >> 1];
  }
}

/**
 * Tells every caller how busy the server was when it took up the call, in the header `endpoint-load-metrics` (ORCA, text form):
 * `named_metrics.rif`, calls in flight, and `named_metrics.latency_ms`, the median of what calls took lately that found about as
 * many. For balancers that want to know (`prequal()`). For servers; unary methods only.
 */
export function loadReporting({ clock = systemClock }: { readonly clock?: Clock } = {}): Middleware {
  let inFlight = 0;
  const classes = Array.from({ length: CLASSES }, () => new Latencies());
  const classOf = (n: number): number => Math.min(CLASSES - 1, 32 - Math.clz32(n));
  /** Of the class, else of the nearest below or above that knows any. */
  const median = (n: number): number => {
    const own = classOf(n);
    for (let i = own; i >= 0; i--) {
      const known = classes[i]!.median;
      if (known !== undefined) return known;
    }
    for (let i = own + 1; i < CLASSES; i++) {
      const known = classes[i]!.median;
      if (known !== undefined) return known;
    }
    return 0;
  };
  return <Req, Res>(next: Endpoint<Req, Res>, method: { readonly kind: string }): Endpoint<Req, Res> => {
    if (method.kind !== "unary") return next;
    return async function reportingLoad(ctx, request) {
      const found = inFlight++;
      const startedMs = clock.now();
      try {
        const response = await next(ctx, request);
        classes[classOf(found)]!.record(clock.now() - startedMs);
        return response;
      } finally {
        inFlight--;
        const report = { requestsInFlight: inFlight, latencyMs: median(inFlight) };
        serverCall(ctx)?.responseHeaders.set(LOAD_HEADER, formatLoadReport(report));
      }
    };
  };
}
