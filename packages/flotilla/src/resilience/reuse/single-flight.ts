import type { CancelContext, Context } from "../../context/context.ts";
import { afterFunc, withCancel, withoutCancel } from "../../context/with.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver, withResponseObserver } from "../../metadata/call.ts";
import type { Metadata } from "../../metadata/metadata.ts";
import { type CallKeyOptions, callKeyOf } from "./call-key.ts";

/** Options of {@link singleFlight}. */
export interface SingleFlightOptions extends CallKeyOptions {
  /** Different calls of one method in flight at a time; what comes on top is not shared. 1 or more. Default 1000. */
  readonly maxFlights?: number;
}

/** A middleware that tells what it did. */
export interface SingleFlight extends Middleware {
  /** Calls made for one or more that asked, so far. */
  readonly made: number;
  /** Calls that took the answer of another, so far. */
  readonly shared: number;
}

const CALLS: PolicyMetric = {
  name: "flotilla.single_flight.calls",
  kind: "counter",
  unit: "{call}",
  description: "Calls that were made for one or more that asked, and calls that joined another.",
};

/**
 * Calls that ask the same at the same time are one: the first is made, the others wait for its answer. Against the herd that comes
 * when a cache is empty. Only unary methods that are idempotent.
 *
 * Everybody waits within a deadline of their own. The shared call has no deadline but what stands inside (a channel's), and is
 * cancelled when nobody waits any more. It goes out with the headers, trace and priority of the first. All are given the same
 * object, so it must not be changed.
 *
 * Put it into `use` of a channel or of `implement`, inside of `responseCache` and of whatever decides who may call.
 *
 * After Go's `golang.org/x/sync/singleflight`, with cancellation.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function singleFlight(options: SingleFlightOptions = {}): SingleFlight {
  const { maxFlights = 1000 } = options;
  if (!(maxFlights >= 1)) throw new RangeError(`singleFlight: maxFlights must be 1 or more, got ${maxFlights}`);
  const keyOf = callKeyOf("singleFlight", options);
  const counts = { made: 0, shared: 0 };

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    if (method.kind !== "unary" || !method.idempotent) return next;
    const flights = new Map<string, Flight<Res>>();
    return function sharing(ctx, request) {
      const key = keyOf(ctx, request, method);
      if (key === undefined) return next(ctx, request);
      const found = flights.get(key);
      if (found !== undefined) {
        counts.shared++;
        return found.join(ctx);
      }
      if (flights.size >= maxFlights) return next(ctx, request);
      counts.made++;
      const flight = new Flight<Res>(ctx, () => {
        // Another may have begun since nobody waited for this one.
        if (flights.get(key) === flight) flights.delete(key);
      });
      flights.set(key, flight);
      flight.start(next, request);
      return flight.join(ctx);
    };
  };
  const policy: Policy = {
    name: "single_flight",
    metrics: [CALLS],
    measure(to) {
      to(CALLS, counts.made, { outcome: "made" });
      to(CALLS, counts.shared, { outcome: "joined" });
    },
    describe: () => [{ ...counts }],
  };
  const flying = Object.defineProperties(middleware, {
    made: { get: () => counts.made },
    shared: { get: () => counts.shared },
  }) as unknown as SingleFlight;
  return withPolicies(flying, [policy]);
}

/** One call, and those that wait for it. */
class Flight<Res> {
  readonly #scope: CancelContext;
  readonly #forget: () => void;
  #waiting = 0;
  #answer: Promise<Res> | undefined;
  #headers: Metadata | undefined;
  #trailers: Metadata | undefined;

  /** @param forget - called when nobody is to join any more; may be called again. */
  constructor(first: Context, forget: () => void) {
    this.#scope = withCancel(withoutCancel(first));
    this.#forget = forget;
  }

  start<Req>(next: Endpoint<Req, Res>, request: Req): void {
    const ctx = withResponseObserver(this.#scope, (headers, trailers) => {
      this.#headers = headers;
      this.#trailers = trailers;
    });
    const end = (): void => {
      this.#scope.cancel();
      this.#forget();
    };
    this.#answer = call(next, ctx, request);
    this.#answer.then(end, end);
  }

  join(ctx: Context): Promise<Res> {
    this.#waiting++;
    return new Promise((resolve, reject) => {
      const stay = afterFunc(ctx, () => {
        reject(ctx.err);
        if (--this.#waiting > 0) return;
        this.#forget();
        this.#scope.cancel(new ServiceError("canceled", "all that waited for the shared call have given up"));
      });
      const observe = (): void => {
        if (stay() && this.#headers !== undefined) responseObserver(ctx)?.(this.#headers, this.#trailers!);
      };
      this.#answer!.then(
        (response) => {
          observe();
          resolve(response);
        },
        (error: unknown) => {
          observe();
          reject(error);
        },
      );
    });
  }
}

/** What throws at once fails like what throws later. */
async function call<Req, Res>(next: Endpoint<Req, Res>, ctx: Context, request: Req): Promise<Res> {
  return next(ctx, request);
}
