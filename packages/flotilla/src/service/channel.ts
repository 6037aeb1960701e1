import type { BalancerFactory } from "../balance/balancer.ts";
import type { EjectionOptions } from "../balance/ejection.ts";
import { leastRequest } from "../balance/least-request.ts";
import { type SlowStartOptions, slowStart } from "../balance/slow-start.ts";
import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Client, Contract } from "../contract/contract.ts";
import type { Instancer } from "../discovery/discovery.ts";
import { fixed } from "../discovery/fixed.ts";
import { chain, type Endpoint, type Middleware, policiesOf } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { TelemetryPort } from "../endpoint/telemetry-port.ts";
import type { Connector } from "../endpoint/transport.ts";
import type { ClientThrottleOptions } from "../resilience/client-throttle.ts";
import type { DeadlineCheckOptions } from "../resilience/deadline-check.ts";
import type { HedgeOptions } from "../resilience/hedge.ts";
import type { RetryOptions } from "../resilience/retry.ts";
import { httpClient } from "../transport/http/client.ts";
import { clientDefaults } from "./defaults.ts";
import { EjectionPolicy } from "./ejection-policy.ts";
import { Connections, type Surroundings } from "./peer.ts";
import { listenTo } from "./policy-watch.ts";
import { ProbePolicy } from "./probe-policy.ts";
import { stub } from "./stub.ts";
import { Target } from "./target.ts";

/** Options of {@link channel} and {@link client}. */
export interface ChannelOptions {
  /** Where instances are found; or their addresses. */
  readonly discover: Instancer | readonly string[];
  /** How they are called. Default `httpClient()`. */
  readonly transport?: Connector;
  /** Which one is called. Default `leastRequest()`. */
  readonly balance?: BalancerFactory;
  /** Tracing, metrics and logs of all calls that are made: `telemetry()`. Default none. */
  readonly telemetry?: TelemetryPort;
  /** Middlewares around every call, the first outermost; they see a call once, however often it is tried. Default none. */
  readonly use?: readonly Middleware[];
  /** Deadline of unary calls whose caller sets no earlier one, milliseconds; `false` for none. Default 10000. */
  readonly timeoutMs?: number | false;
  /** How calls are held back that the service refuses; `false` for never. Default: see {@link ClientThrottleOptions}. */
  readonly throttle?: ClientThrottleOptions | false;
  /** How passing failures of idempotent calls are retried; `false` for never. Default: see {@link RetryOptions}. */
  readonly retry?: RetryOptions | false;
  /** Asks another instance when one is slow; see {@link HedgeOptions}. Default: never. */
  readonly hedge?: HedgeOptions | false;
  /** How attempts are told that cannot end in time, which are not sent; `false` to send them. Default: see {@link DeadlineCheckOptions}. */
  readonly deadlineCheck?: DeadlineCheckOptions | false;
  /** How an instance that joins others comes to its share; `false` for at once. Default: see {@link SlowStartOptions}. */
  readonly slowStart?: SlowStartOptions | false;
  /**
   * Middlewares around each attempt, before an instance is picked for it, the first outermost: `egressLimit`, where each attempt
   * counts, and waits within the deadline of the call. Default none.
   */
  readonly perAttempt?: readonly Middleware[];
  /** How instances that fail are taken out of the balance; `false` for never. Default: see {@link EjectionOptions}. */
  readonly ejection?: EjectionOptions | false;
  /**
   * Makes the middlewares around each attempt that goes to one instance, the first outermost: a circuit breaker or a limit of its
   * own. Called once an instance. Default none.
   */
  readonly perInstance?: (instance: Instance) => readonly Middleware[];
  /**
   * Told when a circuit opens or closes, an instance leaves the balance or is back, an overload begins or is over. Default: the log of
   * `telemetry`, else nobody.
   */
  readonly onEvent?: (event: LifecycleEvent) => void;
  /** How long the last known instances are used while discovery fails, milliseconds. Default 900000 (15 minutes). */
  readonly maxStaleMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * The way to services: discovery, balancing, connections and the middlewares of every call. One can carry the clients of
 * many contracts; they share its connections, one pool an instance.
 */
export interface Channel extends AsyncDisposable {
  /** The endpoint that calls a method, the channel's middlewares around it. */
  endpoint(method: MethodInfo): Endpoint;
  /** The instances of a service that calls are balanced over now. Empty before the first call of the service. */
  instances(service: string): readonly Instance[];
  /** Stops discovery and closes every connection; calls in flight fail as `unavailable`. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a channel. The stack of each call, outermost first: telemetry, `use`, deadline, throttle, retry, hedge, what is `perAttempt`, deadline
 * check, balancer, what is `perInstance`, transport. Why each stands where it stands: see `clientDefaults`.
 *
 * @throws TypeError or RangeError when an option is not legal, naming it.
 */
export function channel(options: ChannelOptions): Channel {
  const { clock = systemClock, random = systemRandom } = options;
  const { transport = httpClient({}, clock), balance = leastRequest(), use = [] } = options;
  const { maxStaleMs = 900_000, ejection = {}, perInstance, slowStart: slow = {} } = options;
  if (!(maxStaleMs >= 0)) throw new RangeError(`channel: maxStaleMs must be 0 or more, got ${maxStaleMs}`);
  const started = slow === false ? balance : slowStart(slow, balance);
  if (typeof options.discover !== "object" || options.discover === null) {
    throw new TypeError(
      "channel: discover must be an instancer, or an array of addresses such as http://127.0.0.1:8080",
    );
  }
  const discover = "watch" in options.discover ? options.discover : fixed(options.discover);
  const connections = new Connections(transport);
  const targets = new Map<string, Target>();
  const { telemetry, onEvent = telemetry?.onEvent } = options;
  const around = chain(
    ...(telemetry === undefined ? [] : [telemetry.client(transport.callProtocol ?? transport.protocol)]),
    ...use,
    ...clientDefaults({ ...options, clock, random }),
  );
  const ejections = new EjectionPolicy(clock);
  const policies = [...(around.policies ?? []), ...(ejection === false ? [] : [ejections]), new ProbePolicy(targets)];
  const unlisten = listenTo(policies, ({ level, message }) => onEvent?.({ event: level, host: undefined, message }));
  /** What stands around the calls to one instance, which tells of itself as long as the instance is there. */
  const surroundings = (make: NonNullable<typeof perInstance>, instance: Instance): Surroundings => {
    const made = make(instance);
    const own = policiesOf(made);
    if (own.length === 0) return { use: made, leave: () => {} };
    const stop = listenTo(own, ({ level, message }) =>
      onEvent?.({ event: level, host: undefined, message: `${instance.address}: ${message}` }),
    );
    const forget = telemetry?.watch?.((to) => {
      for (const policy of own) to.policy(policy, instance);
    });
    return {
      use: made,
      leave: () => {
        stop();
        forget?.();
      },
    };
  };
  let closing: Promise<void> | undefined;

  const targetOf = (service: string): Target => {
    if (closing !== undefined) throw new Error(`channel: ${service} is asked for after the channel was closed`);
    let target = targets.get(service);
    if (target === undefined) {
      target = new Target(service, {
        discover,
        balance: started,
        connections,
        maxStaleMs,
        clock,
        random,
        ejection: ejection === false ? false : ejections.optionsOf(service, ejection),
        perInstance: perInstance && ((instance) => surroundings(perInstance, instance)),
      });
      const made = target;
      ejections.ask(service, () => made.ejected);
      targets.set(service, target);
    }
    return target;
  };
  const unwatch = telemetry?.watch?.((to) => {
    for (const [service, { instances, down }] of targets) to.instances(service, instances.length - down, down);
    connections.report(to);
    for (const policy of policies) to.policy(policy);
  });
  const close = (): Promise<void> => {
    if (closing === undefined) {
      unwatch?.();
      unlisten();
      for (const target of targets.values()) target.stop();
      closing = connections.close();
    }
    return closing;
  };
  return {
    endpoint: (method) => around(targetOf(method.service).endpoint(method), method),
    instances: (service) => targets.get(service)?.instances ?? [],
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * A typed client of a contract, over a channel or with one of its own. Dispose of it (`await using` does) when it is no longer
 * needed: that closes a channel of its own, and leaves alone one that was given, since others may use it.
 *
 * ```ts
 * const calculator = client(Calculator, { discover: embedded() });
 * const { v } = await calculator.sum(ctx, { a: 1, b: 2 });
 * ```
 */
export function client<C extends Contract>(contract: C, over: Channel | ChannelOptions): Client<C> & AsyncDisposable {
  if ("endpoint" in over) return stub(contract, (method) => over.endpoint(method));
  const own = channel(over);
  return stub(
    contract,
    (method) => own.endpoint(method),
    () => own.close(),
  );
}
