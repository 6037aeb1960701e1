import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Context } from "../context/context.ts";
import { Load } from "../contract/load.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { formatLoadReport, LOAD_HEADER } from "../endpoint/load-report.ts";
import type { Service, ServingMiddleware } from "../endpoint/service.ts";
import { serverCall } from "../metadata/call.ts";

/** Latencies are kept by the number in flight: each for itself up to 8, then four classes to a doubling, up to some 7000. */
const CLASSES = 48;
const EACH = 8;
/** So many of each class: more make the median steadier, and slower to learn of a change. */
const KEPT = 32;

/** The last latencies of calls that found about as many in flight. */
class Latencies {
  /** In the order they came, the oldest overwritten. */
  readonly #ring = new Float64Array(KEPT);
  /** The same in order of size. */
  readonly #sorted = new Float64Array(KEPT);
  #size = 0;
  #at = 0;

  record(ms: number): void {
    const sorted = this.#sorted;
    // The place that becomes free, and from there to where the new one belongs.
    let place = this.#size === KEPT ? sorted.indexOf(this.#ring[this.#at]!) : this.#size++;
    this.#ring[this.#at] = ms;
    this.#at = (this.#at + 1) % KEPT;
    for (; place > 0 && sorted[place - 1]! > ms; place--) sorted[place] = sorted[place - 1]!;
    for (; place < this.#size - 1 && sorted[place + 1]! < ms; place++) sorted[place] = sorted[place + 1]!;
    sorted[place] = ms;
  }

  get median(): number | undefined {
    return this.#size === 0 ? undefined : this.#sorted[this.#size >> 1];
  }
}

function classOf(inFlight: number): number {
  // 8 is the twelfth quarter of a doubling.
  const found = inFlight < EACH ? inFlight : EACH - 12 + Math.floor(4 * Math.log2(inFlight));
  return Math.min(CLASSES - 1, found);
}

/**
 * Tells every caller how busy the server was when it took up the call, in the header `endpoint-load-metrics` (ORCA, text form):
 * `named_metrics.rif`, calls in flight, and `named_metrics.latency_ms`, the median of what calls took lately that found about as
 * many. For balancers that want to know (`prequal()`). For servers; unary methods only.
 *
 * In the `use` of a host it also answers those who only ask (`flotilla.balance.v1.Load/report`), at the cost of a call that does
 * nothing, and neither traced nor logged: a balancer that hears of too few instances asks others, too.
 */
export function loadReporting({ clock = systemClock }: { readonly clock?: Clock } = {}): ServingMiddleware {
  let inFlight = 0;
  const classes = Array.from({ length: CLASSES }, () => new Latencies());
  /** Of the class, else of the nearest that knows any. */
  const median = (): number => {
    const own = classOf(inFlight);
    for (let distance = 0; distance < CLASSES; distance++) {
      const known = classes[own - distance]?.median ?? classes[own + distance]?.median;
      if (known !== undefined) return known;
    }
    return 0;
  };
  const say = (ctx: Context): void => {
    const report = { requestsInFlight: inFlight, latencyMs: median() };
    serverCall(ctx)?.responseHeaders.set(LOAD_HEADER, formatLoadReport(report));
  };
  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: { readonly kind: string }): Endpoint<Req, Res> => {
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
        say(ctx);
      }
    };
  };
  const service: Service = {
    name: Load.name,
    methods: Load.methods.map((info) => ({
      info,
      endpoint: async function reportLoad(ctx) {
        say(ctx);
        return {};
      },
    })),
    observed: false,
  };
  return Object.assign(middleware, { service });
}
