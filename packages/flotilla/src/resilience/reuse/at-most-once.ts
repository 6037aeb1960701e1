import type { Clock } from "../../clock/clock.ts";
import { type Random, randomInt, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { outgoingHeaders, serverCall, withHeaders } from "../../metadata/call.ts";
import { type CallKeyOptions, callKeyOf } from "./call-key.ts";
import { jsonSize, Shelf } from "./shelf.ts";

/** The header that names a call, however often it arrives (draft-ietf-httpapi-idempotency-key-header-07). */
export const IDEMPOTENCY_KEY = "idempotency-key";

const MAX_KEY_LENGTH = 256;

/** Options of {@link idempotencyKeys}. */
export interface IdempotencyKeyOptions {
  /** Which methods are meant. Default: those that are not idempotent. */
  readonly methods?: (method: MethodInfo) => boolean;
  readonly random?: Random;
}

/**
 * On a client: gives each call a key of its own, which all its attempts carry, unless the caller has set one (`withHeaders`). Put
 * it into `use` of the channel; `atMostOnce` on the server heeds it.
 */
export function idempotencyKeys(options: IdempotencyKeyOptions = {}): Middleware {
  const { random = systemRandom, methods = (method) => !method.idempotent } = options;
  const word = (): string =>
    randomInt(random, 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return (next, method) => {
    if (!methods(method)) return next;
    return function keyed(ctx, request) {
      if (outgoingHeaders(ctx)?.get(IDEMPOTENCY_KEY) !== undefined) return next(ctx, request);
      const key = `"${word()}${word()}${word()}${word()}"`;
      return next(withHeaders(ctx, { [IDEMPOTENCY_KEY]: key }), request);
    };
  };
}

/** Options of {@link atMostOnce}. */
export interface AtMostOnceOptions extends CallKeyOptions {
  /** Which unary methods are meant. Default: those that are not idempotent. */
  readonly methods?: (method: MethodInfo) => boolean;
  /** Refuses calls without a key as `invalid_argument`. Default false: they are served, as often as they come. */
  readonly required?: boolean;
  /** How long what a call ended with is kept, milliseconds, above 0. Default 600000 (10 minutes). */
  readonly ttlMs?: number;
  /** Calls whose end is kept, of all methods; the oldest give way. 1 or more. Default 10000. */
  readonly maxEntries?: number;
  /** What their answers may take together, bytes of their JSON. Above 0. Default 16 MiB. */
  readonly maxBytes?: number;
  readonly clock?: Clock;
}

/** How {@link atMostOnce} stands. */
export interface AtMostOnceState {
  /** Calls whose end is kept. */
  readonly entries: number;
  readonly bytes: number;
  /** Calls that had been made before and were not made again, so far. */
  readonly repeated: number;
  /** Ends that gave way before their time: what comes again of these is served again. */
  readonly evicted: number;
}

/** A middleware that tells how it stands. */
export interface AtMostOnce extends Middleware {
  readonly state: AtMostOnceState;
}

const REPEATED: PolicyMetric = {
  name: "flotilla.at_most_once.repeated",
  kind: "counter",
  unit: "{call}",
  description: "Calls that had been made before and were not made again.",
};
const ENTRIES: PolicyMetric = {
  name: "flotilla.at_most_once.entries",
  kind: "sum",
  unit: "{entry}",
  description: "Calls whose end is kept.",
};
const EVICTED: PolicyMetric = {
  name: "flotilla.at_most_once.evicted",
  kind: "counter",
  unit: "{entry}",
  description: "Ends that gave way before their time.",
};

/** A call that was made, and what it came to. */
interface Made {
  readonly fingerprint: string;
  readonly outcome: Promise<unknown>;
  endedMs: number;
}

/**
 * On a server: a call that arrives again, by its `idempotency-key`, is not made again. It gets what the first has come to, success
 * or failure, or waits for it. For methods that are not idempotent, against whatever repeats requests on the way; and against
 * retries, as far as these come to the same process: what it knows is in its memory.
 *
 * A failure is kept as well, since what it has done already is not known; but for one that reached no handler further down
 * (`retry.unprocessed`). A key that comes with another request, or from another caller, is refused as `invalid_argument`,
 * and so is one of more than 256 characters.
 *
 * Put it innermost into `use` of `implement`: what is refused outside of it has not been made. Headers that handlers set are
 * not kept.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function atMostOnce(options: AtMostOnceOptions = {}): AtMostOnce {
  const { ttlMs = 600_000, maxEntries = 10_000, maxBytes = 16 * 2 ** 20, clock = systemClock } = options;
  const { required = false, methods = (method) => !method.idempotent } = options;
  if (!(ttlMs > 0)) throw new RangeError(`atMostOnce: ttlMs must be above 0, got ${ttlMs}`);
  if (!(maxEntries >= 1)) throw new RangeError(`atMostOnce: maxEntries must be 1 or more, got ${maxEntries}`);
  if (!(maxBytes > 0)) throw new RangeError(`atMostOnce: maxBytes must be above 0, got ${maxBytes}`);
  const fingerprintOf = callKeyOf("atMostOnce", options);
  const running = new Map<string, Made>();
  const ended = new Shelf<Made>(maxEntries, maxBytes);
  let repeated = 0;

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    if (method.kind !== "unary" || !methods(method)) return next;

    function end(id: string, made: Made, size: number | undefined): void {
      running.delete(id);
      made.endedMs = clock.now();
      if (size !== undefined) ended.put(id, made, size + id.length + made.fingerprint.length);
    }

    function before(id: string): Made | undefined {
      const made = running.get(id) ?? ended.get(id);
      return made === undefined || clock.now() - made.endedMs < ttlMs ? made : undefined;
    }

    return async function once(ctx, request) {
      const key = serverCall(ctx)?.headers.get(IDEMPOTENCY_KEY);
      if (key === undefined) {
        if (!required) return next(ctx, request);
        throw new ServiceError("invalid_argument", `${method.procedure} needs the header ${IDEMPOTENCY_KEY}`);
      }
      if (key.length > MAX_KEY_LENGTH) {
        throw new ServiceError("invalid_argument", `${IDEMPOTENCY_KEY} is longer than ${MAX_KEY_LENGTH} characters`);
      }
      const id = `${method.procedure} ${key}`;
      const fingerprint = fingerprintOf(ctx, request, method) ?? "";
      const made = before(id);
      if (made !== undefined) {
        if (made.fingerprint !== fingerprint) {
          throw new ServiceError("invalid_argument", `${IDEMPOTENCY_KEY} ${key} has come with another call`);
        }
        repeated++;
        return made.outcome.catch(again) as Promise<Res>;
      }
      const outcome = call(next, ctx, request);
      const first: Made = { fingerprint, outcome, endedMs: Infinity };
      running.set(id, first);
      outcome.then(
        (response) => end(id, first, jsonSize(method, response) ?? 0),
        (error: unknown) => {
          const { message, retry } = ServiceError.from(error);
          end(id, first, retry?.unprocessed === true ? undefined : message.length);
        },
      );
      return outcome;
    };
  };
  const state = (): AtMostOnceState => ({
    entries: ended.size,
    bytes: ended.bytes,
    repeated,
    evicted: ended.evicted,
  });
  const policy: Policy = {
    name: "at_most_once",
    metrics: [REPEATED, ENTRIES, EVICTED],
    measure(to) {
      to(REPEATED, repeated);
      to(ENTRIES, ended.size);
      to(EVICTED, ended.evicted);
    },
    describe: () => [{ ...state() }],
  };
  const guarded = Object.defineProperty(middleware, "state", { get: state }) as unknown as AtMostOnce;
  return withPolicies(guarded, [policy]);
}

/** What throws at once fails like what throws later. */
async function call<Req, Res>(next: Endpoint<Req, Res>, ctx: Parameters<typeof next>[0], request: Req): Promise<Res> {
  return next(ctx, request);
}

/** The failure of another call, as an error of its own. */
function again(thrown: unknown): never {
  const { code, message, details, retry, metadata } = ServiceError.from(thrown);
  throw new ServiceError(code, message, {
    cause: thrown,
    details,
    ...(metadata !== undefined && { metadata }),
    ...(retry !== undefined && { retry }),
  });
}
