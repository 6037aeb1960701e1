import type { Balancer, BalancerFactory } from "../balance/balancer.ts";
import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import { afterFunc } from "../context/with.ts";
import type { Instancer, InstanceObserver, Watch } from "../discovery/discovery.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { observeStream } from "../endpoint/stream.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type Connections, Peer } from "./peer.ts";

/** What a {@link Target} is built with. */
export interface TargetDeps {
  readonly discover: Instancer;
  readonly balance: BalancerFactory;
  readonly connections: Connections;
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
  #peers = new Map<string, Peer>();
  #known = false;
  #failure: ServiceError | undefined;
  #failingSinceMs = 0;
  #waiting: (() => void)[] = [];

  constructor(service: string, deps: TargetDeps) {
    this.#service = service;
    this.#deps = deps;
    this.#balancer = deps.balance<Peer>({ clock: deps.clock, random: deps.random });
    this.#watch = deps.discover.watch(service, this);
  }

  /** The instances calls are balanced over. */
  get instances(): readonly Instance[] {
    return [...this.#peers.values()].map((peer) => peer.instance);
  }

  update(instances: readonly Instance[]): void {
    this.#failure = undefined;
    this.#known = true;
    const { connections } = this.#deps;
    const before = this.#peers;
    const after = new Map<string, Peer>();
    for (const instance of instances) {
      if (!connections.accepts(instance.address)) continue;
      const peer = before.get(instance.id);
      if (peer !== undefined && peer.instance.address === instance.address) {
        peer.instance = instance;
        after.set(instance.id, peer);
      } else after.set(instance.id, new Peer(instance, connections.acquire(instance.address)));
    }
    this.#peers = after;
    this.#balancer.update([...after.values()]);
    for (const [id, peer] of before) {
      // Drained in the background: the calls it still serves report their own end.
      if (after.get(id) !== peer) connections.release(peer.instance.address).catch(() => {});
    }
    this.#wake();
  }

  error(error: ServiceError): void {
    if (this.#failure === undefined) this.#failingSinceMs = this.#deps.clock.now();
    this.#failure = error;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** The endpoint that sends each call of a method to the instance picked for it. */
  endpoint(method: MethodInfo): Endpoint {
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    const send = (ctx: Context, request: unknown): Promise<unknown> => {
      let peer: Peer;
      try {
        peer = this.#pick(ctx);
      } catch (error) {
        return Promise.reject(error);
      }
      return this.#call(peer, ctx, request, method, streams);
    };
    return (ctx, request) =>
      this.#known ? send(ctx, request) : this.#firstSnapshot(ctx).then(() => send(ctx, request));
  }

  #pick(ctx: Context): Peer {
    const failure = this.#failure;
    if (failure !== undefined && this.#deps.clock.now() - this.#failingSinceMs > this.#deps.maxStaleMs) {
      throw new ServiceError("unavailable", `${this.#service}: discovery has failed for too long: ${failure.message}`, {
        cause: failure,
      });
    }
    const attempts = ctx.value(attemptsKey);
    const peer = this.#balancer.pick(ctx, attempts?.tried as ReadonlySet<Peer> | undefined);
    if (peer === undefined) {
      throw new ServiceError("unavailable", `${this.#service}: no instance is known`, { retry: { unprocessed: true } });
    }
    if (attempts !== undefined) {
      attempts.count++;
      (attempts.tried ??= new Set()).add(peer);
    }
    return peer;
  }

  #call(peer: Peer, ctx: Context, request: unknown, method: MethodInfo, streams: boolean): Promise<unknown> {
    const { clock } = this.#deps;
    const balancer = this.#balancer;
    const startedMs = balancer.done === undefined ? 0 : clock.now();
    const done = (error: unknown): void => {
      peer.inFlight--;
      if (balancer.done === undefined) return;
      balancer.done(peer, clock.now() - startedMs, error === undefined ? undefined : ServiceError.from(error));
    };
    peer.inFlight++;
    return peer
      .endpoint(method)(ctx, request)
      .then(
        (response) => {
          if (streams) return observeStream(response as AsyncIterable<unknown>, done);
          done(undefined);
          return response;
        },
        (error: unknown) => {
          done(error);
          throw error;
        },
      );
  }

  /** Waits for the first word of discovery: the first snapshot, or its first failure. */
  async #firstSnapshot(ctx: Context): Promise<void> {
    if (ctx.err !== undefined) throw ctx.err;
    if (this.#failure !== undefined) throw this.#unreachable(this.#failure);
    await new Promise<void>((resolve, reject) => {
      const stop = afterFunc(ctx, () => reject(ctx.err!));
      this.#waiting.push(() => {
        stop();
        resolve();
      });
    });
    if (!this.#known && this.#failure !== undefined) throw this.#unreachable(this.#failure);
  }

  #unreachable(failure: ServiceError): ServiceError {
    return new ServiceError("unavailable", `${this.#service}: cannot discover instances: ${failure.message}`, {
      cause: failure,
      retry: { unprocessed: true },
    });
  }

  stop(): void {
    this.#watch.stop();
    this.#wake();
  }
}
