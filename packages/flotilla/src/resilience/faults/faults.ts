import { type Random, systemRandom } from "../../clock/random.ts";
import type { Context } from "../../context/context.ts";
import type { Endpoint, Middleware } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { type CallFault, type InjectedFault, settleCallFault } from "./call-fault.ts";
import { LiveFault } from "./live-fault.ts";

/** Options of {@link faults}. */
export interface FaultsOptions {
  /**
   * Whether it stands around what is served, not around calls that are made: then `abort` breaks the caller's connection.
   * Default false.
   */
  readonly serving?: boolean;
  /** Draws shares and latencies. Default: the system's. */
  readonly random?: Random;
}

/** A middleware through which things can be made to go wrong while the program runs. */
export interface Faults extends Middleware {
  /** What is wrong now, in the order in which calls meet it. */
  readonly active: readonly InjectedFault<CallFault>[];
  /**
   * From now on this goes wrong with the calls that begin, until it is healed.
   *
   * @throws RangeError or TypeError when the fault is not a legal one, naming what is wrong; RangeError when there are 100 already.
   */
  inject(fault: CallFault): InjectedFault<CallFault>;
  /** Heals all. */
  heal(): void;
}

const MAX_FAULTS = 100;

/**
 * Makes calls late, fail, or hang, on demand: to see in a test, or in a running system, whether those who call bear it. Nothing
 * goes wrong until something is injected, and until then it costs nothing, so that it may stay in production code.
 *
 * ```ts
 * const chaos = faults();
 * implement(Shop, service, { use: [chaos] });
 *
 * const slow = chaos.inject({ methods: ["pay"], share: 0.1, latencyMs: lognormal({ median: 200, p99: 2000 }) });
 * chaos.inject({ error: "unavailable", when: (ctx) => serverCall(ctx)?.headers.get("x-tenant") === "acme" });
 * chaos.inject({ methods: ["order"], at: "response", abort: true });   // done, but nobody hears of it
 * slow.heal();
 * ```
 *
 * In `use` of a client it strikes calls, whatever retries they would have had; in `perInstance` it strikes attempts, of one
 * instance where the others go without. Faults strike in the order in which they were injected. A name in `methods` that is
 * none strikes nothing: `hits` tells. For what goes wrong below calls, on connections, see `faultProxy` of
 * `flotilla/testing`.
 */
export function faults(options: FaultsOptions = {}): Faults {
  const { serving = false, random = systemRandom } = options;
  let active: readonly LiveFault[] = [];

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    const strike = async (ctx: Context, request: Req): Promise<Res> => {
      const met = active.filter((fault) => fault.meets(ctx, method));
      for (const fault of met) if (!fault.late) await fault.strike(ctx, method);
      const late = met.filter((fault) => fault.late);
      const response = await next(ctx, request);
      if (late.length === 0) return response;
      if (streams) return eachLate(response as AsyncIterable<unknown>, late, ctx, method) as Res;
      for (const fault of late) await fault.strike(ctx, method);
      return response;
    };
    return function faulty(ctx, request) {
      return active.length === 0 ? next(ctx, request) : strike(ctx, request);
    };
  };

  const inject = (fault: CallFault): LiveFault => {
    if (active.length >= MAX_FAULTS) {
      throw new RangeError(`faults: there are ${MAX_FAULTS} already: heal those that have served`);
    }
    const live = new LiveFault(fault, settleCallFault(fault), { serving, random }, () => {
      active = active.filter((other) => other !== live);
    });
    active = [...active, live];
    return live;
  };
  const heal = (): void => {
    for (const fault of active) fault.heal();
  };
  return Object.defineProperty(Object.assign(middleware, { inject, heal }), "active", {
    get: () => active,
  }) as unknown as Faults;
}

/** A stream whose messages, and whose end, are met by faults once as many have passed as each wants. */
async function* eachLate(
  responses: AsyncIterable<unknown>,
  faults: readonly LiveFault[],
  ctx: Context,
  method: MethodInfo,
): AsyncGenerator {
  let passed = 0;
  const struck = new Set<LiveFault>();
  const meet = async (): Promise<void> => {
    for (const fault of faults) {
      if (passed < fault.afterMessages) continue;
      await fault.strike(ctx, method, struck.has(fault));
      struck.add(fault);
    }
  };
  for await (const response of responses) {
    await meet();
    passed++;
    yield response;
  }
  await meet();
}
