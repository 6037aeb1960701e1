import type { Balancer, BalancerFactory } from "../balance/balancer.ts";
import type { EjectionOptions } from "../balance/ejection.ts";
import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import { afterFunc } from "../context/with.ts";
import type { InstanceObserver, Instancer, Watch } from "../discovery/discovery.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { outgoingCallKey } from "../endpoint/observer.ts";
import { isOverdue, observeCall } from "../endpoint/stream.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Availability } from "./availability.ts";
import { Heard } from "./heard.ts";
import { LoadProbes } from "./load-probes.ts";
import { type Connections, Peer, type Surroundings } from "./peer.ts";

/** So many instances are picked for one attempt when what stands around each refuses it. */
const MAX_PICKS = 20;

/** What a {@link Target} is built with. */
export interface TargetDeps {
  readonly discover: Instancer;
  readonly balance: BalancerFactory;
  readonly connections: Connections;
  readonly ejection: EjectionOptions | false;
  readonly perInstance: ((instance: Instance) => Surroundings) | undefined;
  readonly maxStaleMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * One service as a channel sees it: the instances there are now, and the choice among them. Instances that stay keep their
 * connection and their history across updates; one that goes finishes its calls first.
 */
export class Target implements InstanceObserver {
  readonly #service: string;
  readonly #deps: TargetDeps;
  readonly #balancer: Balancer<Peer>;
  readonly #watch: Watch;
  /** Those that endpoints were asked for, once each. */
  readonly #methods: MethodInfo[] = [];
  #peers = new Map<string, Peer>();
  readonly #available: Availability;
  #known = false;
  #failure: ServiceError | undefined;
  #failingSinceMs = 0;
  /** Why instances of the last snapshot are left out; undefined when none is. */
  #unusable: string | undefined;
  #closed = false;
  readonly #waiting = new Set<() => void>();
  readonly #probes: LoadProbes;

  constructor(service: string, deps: TargetDeps) {
    this.#service = service;
    this.#deps = deps;
    this.#probes = new LoadProbes(deps.clock, (peer, load, nowMs) => this.#balancer.report?.(peer, load, nowMs));
    this.#balancer = deps.balance<Peer>({
      clock: deps.clock,
      random: deps.random,
      probe: (peer) => this.#probes.ask(peer),
    });
    this.#available = new Availability(this.#balancer, deps.ejection, deps.clock, deps.random);
    this.#watch = deps.discover.watch(service, this);
  }

  /** The instances calls are balanced over. */
  get instances(): readonly Instance[] {
    return [...this.#peers.values()].map((peer) => peer.instance);
  }

  /** Of the instances, those that are avoided. */
  get down(): number {
    return this.#available.down;
  }

  /** Of the instances, those that are out of the balance because they failed. */
  get ejected(): readonly Instance[] {
    return this.#available.ejected.map((peer) => peer.instance);
  }

  /** Probes sent so far. */
  get probes(): number {
    return this.#probes.sent;
  }

  update(instances: readonly Instance[]): void {
    if (this.#closed) return;
    this.#failure = undefined;
    this.#known = true;
    this.#unusable = undefined;
    const { connections, perInstance } = this.#deps;
    const before = this.#peers;
    const after = new Map<string, Peer>();
    for (const instance of instances) {
      const peer = before.get(instance.id);
      if (peer !== undefined && peer.instance.address === instance.address) {
        peer.instance = instance;
        after.set(instance.id, peer);
        continue;
      }
      try {
        after.set(instance.id, new Peer(instance, connections.acquire(instance.address), perInstance?.(instance)));
      } catch (error) {
        // One bad address must not cost the others; who finds no instance left is told.
        this.#unusable = error instanceof Error ? error.message : String(error);
      }
    }
    this.#peers = after;
    this.#available.update(after);
    for (const [id, peer] of before) {
      // Drained in the background: the calls it still serves report their own end.
      if (after.get(id) === peer) continue;
      void connections
        .release(peer.instance.address)
        .catch(() => {})
        .then(() => peer.leave());
    }
    this.#wake();
  }

  error(error: ServiceError): void {
    if (this.#failure === undefined) this.#failingSinceMs = this.#deps.clock.now();
    this.#failure = error;
    this.#wake();
  }

  #wake(): void {
    for (const resume of this.#waiting) resume();
    this.#waiting.clear();
  }

  /** The endpoint that sends each call of a method to the instance picked for it. */
  endpoint(method: MethodInfo): Endpoint {
    let slot = this.#methods.indexOf(method);
    if (slot < 0) slot = this.#methods.push(method) - 1;
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    const send = (ctx: Context, request: unknown): Promise<unknown> => {
      try {
        return this.#call(this.#pick(ctx, method), ctx, request, method, slot, streams);
      } catch (error) {
        return Promise.reject(error);
      }
    };
    return (ctx, request) =>
      this.#known ? send(ctx, request) : this.#firstSnapshot(ctx).then(() => send(ctx, request));
  }

  #pick(ctx: Context, method: MethodInfo): Peer {
    const failure = this.#failure;
    if (failure !== undefined && this.#deps.clock.now() - this.#failingSinceMs > this.#deps.maxStaleMs) {
      throw new ServiceError("unavailable", `${this.#service}: discovery has failed for too long: ${failure.message}`, {
        cause: failure,
      });
    }
    const attempts = ctx.value(attemptsKey);
    // Most calls are tried once: only a second attempt needs a set.
    if (attempts !== undefined && attempts.count > 0) attempts.tried ??= new Set([attempts.first]);
    const tried = attempts?.tried as ReadonlySet<Peer> | undefined;
    const peer = this.#available.trial(tried) ?? this.#pickWilling(ctx, method, tried);
    if (peer === undefined) {
      const why = this.#unusable === undefined ? "no instance is known" : `no instance can be used: ${this.#unusable}`;
      throw new ServiceError("unavailable", `${this.#service}: ${why}`, { retry: { unprocessed: true } });
    }
    this.#available.picked(peer);
    if (attempts !== undefined) {
      if (attempts.count++ === 0) attempts.first = peer;
      attempts.instance = peer.instance;
      attempts.tried?.add(peer);
    }
    return peer;
  }

  /** One whose own middlewares let the call through, if a few picks find one: an open circuit is to cost the call no attempt. */
  #pickWilling(ctx: Context, method: MethodInfo, tried: ReadonlySet<Peer> | undefined): Peer | undefined {
    const first = this.#pickOther(ctx, tried);
    if (this.#deps.perInstance === undefined || first === undefined || !first.refuses(ctx, method)) return first;
    const seen = new Set(tried).add(first);
    for (let i = 1; i < MAX_PICKS; i++) {
      const next = this.#pickOther(ctx, seen);
      if (next === undefined || seen.has(next)) break;
      if (!next.refuses(ctx, method)) return next;
      seen.add(next);
    }
    return first;
  }

  #pickOther(ctx: Context, tried: ReadonlySet<Peer> | undefined): Peer | undefined {
    const picked = this.#balancer.pick(ctx, this.#available.avoided(tried));
    // Where all are down, rather one that the call has not failed on yet.
    return picked !== undefined && tried?.has(picked) === true ? this.#balancer.pick(ctx, tried) : picked;
  }

  #call(
    peer: Peer,
    outer: Context,
    request: unknown,
    method: MethodInfo,
    slot: number,
    streams: boolean,
  ): Promise<unknown> {
    const observer = outer.value(outgoingCallKey);
    const attempt = observer === undefined ? outer : observer.attempt(outer, peer.instance);
    const balancer = this.#balancer;
    const heard = balancer.report === undefined ? undefined : new Heard(attempt);
    const ctx = heard?.ctx ?? attempt;
    // Of a call that streams, the time to the answer does not tell how fast the one called is.
    const timed = balancer.done !== undefined && (method.kind === "unary" || method.beginsAtOnce === true);
    const startedMs = timed ? this.#deps.clock.now() : undefined;
    const pending = peer.endpoint(method, slot)(ctx, request);
    peer.inFlight++;
    return pending.then(
      (response) => {
        this.#available.answered(peer);
        if (!streams) {
          this.#ended(peer, startedMs, heard, undefined);
          return response;
        }
        if (startedMs !== undefined) this.#tell(peer, startedMs, undefined);
        return observeCall(ctx, response as AsyncIterable<unknown>, (error) => {
          this.#ended(peer, undefined, heard, error, isOverdue(ctx, error));
        });
      },
      (error: unknown) => {
        observer?.attemptFailed(error);
        this.#ended(peer, startedMs, heard, error);
        throw error;
      },
    );
  }

  /** @param overdue - a stream that had begun was given no more time by its caller: that is no fault of the one called. */
  #ended(peer: Peer, startedMs: number | undefined, heard: Heard | undefined, error: unknown, overdue = false): void {
    peer.inFlight--;
    if (!overdue) {
      this.#available.ended(peer, error);
      if (startedMs !== undefined || error !== undefined) this.#tell(peer, startedMs, error);
    }
    const load = heard?.load;
    if (load !== undefined) this.#balancer.report!(peer, load, this.#deps.clock.now());
  }

  /** Tells the balancer of an answer or a failure. @param startedMs - undefined where what it took tells nothing. */
  #tell(peer: Peer, startedMs: number | undefined, error: unknown): void {
    const balancer = this.#balancer;
    if (balancer.done === undefined) return;
    const nowMs = this.#deps.clock.now();
    const latencyMs = startedMs === undefined ? undefined : nowMs - startedMs;
    balancer.done(peer, latencyMs, error === undefined ? undefined : ServiceError.from(error), nowMs);
  }

  /** Waits for the first word of discovery: the first snapshot, or its first failure. */
  async #firstSnapshot(ctx: Context): Promise<void> {
    if (ctx.err !== undefined) throw ctx.err;
    if (!this.#closed && this.#failure === undefined) {
      const waited = ctx.value(outgoingCallKey)?.waits("discovery");
      await new Promise<void>((resolve, reject) => {
        const resume = (): void => {
          stop();
          waited?.(this.#failure);
          resolve();
        };
        const stop = afterFunc(ctx, () => {
          this.#waiting.delete(resume);
          waited?.(ctx.err);
          reject(ctx.err!);
        });
        this.#waiting.add(resume);
      });
    }
    if (this.#closed) {
      throw new ServiceError("unavailable", `${this.#service}: the channel is closed`, { retry: { never: true } });
    }
    const failure = this.#failure;
    if (this.#known || failure === undefined) return;
    throw new ServiceError("unavailable", `${this.#service}: cannot discover instances: ${failure.message}`, {
      cause: failure,
      retry: { unprocessed: true },
    });
  }

  /** Ends discovery and every wait for it; later calls fail. */
  stop(): void {
    this.#watch.stop();
    this.#closed = true;
    this.#known = false;
    for (const peer of this.#peers.values()) peer.leave();
    this.#peers = new Map();
    this.#available.stop();
    this.#wake();
  }
}
