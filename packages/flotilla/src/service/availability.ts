import type { Avoided, Balancer } from "../balance/balancer.ts";
import { Ejection, type EjectionOptions } from "../balance/ejection.ts";
import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isFailure } from "../resilience/failure.ts";
import { OVERLOADED, refusalReason } from "../resilience/refusal.ts";
import type { Peer } from "./peer.ts";

/** Below this share of instances that are not ejected all are used: better to fail some calls than to drown the few. */
const PANIC = 0.5;

/** Those a call has tried, and those that are down until it is time to see whether they are back. */
class Unavailable implements Avoided<Peer> {
  tried: Avoided<Peer> | undefined;
  nowMs = 0;

  has(peer: Peer): boolean {
    return this.nowMs < peer.avoidUntilMs || this.tried?.has(peer) === true;
  }
}

/**
 * Which instances calls may go to. One that cannot be reached is avoided for a moment, while it is looked at again; one that
 * fails where others do not is taken out of the balance.
 */
export class Availability {
  readonly #balancer: Balancer<Peer>;
  readonly #ejection: Ejection<Peer> | undefined;
  readonly #clock: Clock;
  #peers: ReadonlyMap<string, Peer> = new Map();
  /** Those that refused their last call. A dead instance fails fast, and would look like the one with the least to do. */
  readonly #down = new Set<Peer>();
  /** One for all picks: none outlasts its call. */
  readonly #avoided = new Unavailable();

  constructor(balancer: Balancer<Peer>, ejection: EjectionOptions | false, clock: Clock, random: Random) {
    this.#balancer = balancer;
    this.#ejection = ejection === false ? undefined : new Ejection(ejection, clock, random);
    this.#clock = clock;
  }

  /** Instances that are not called as long as there are others. */
  get down(): number {
    let count = this.#down.size;
    for (const peer of this.#ejection?.out ?? []) if (!this.#down.has(peer)) count++;
    return count;
  }

  /** All instances there are now. */
  update(peers: ReadonlyMap<string, Peer>): void {
    this.#peers = peers;
    for (const peer of this.#down) if (peers.get(peer.instance.id) !== peer) this.#down.delete(peer);
    this.#ejection?.update(peers.values());
    this.#rebalance();
  }

  /** What a call is to avoid that is picked for now: what it has tried, and those that are down. */
  avoided(tried: Avoided<Peer> | undefined): Avoided<Peer> | undefined {
    if (this.#ejection !== undefined && this.#ejection.out.size > 0 && this.#ejection.look()) this.#rebalance();
    if (this.#down.size === 0) return tried;
    this.#avoided.nowMs = this.#clock.now();
    this.#avoided.tried = tried;
    return this.#avoided;
  }

  /** A call has begun to be answered. */
  answered(peer: Peer): void {
    if (peer.refusals > 0) {
      peer.refusals = 0;
      peer.avoidUntilMs = 0;
      this.#down.delete(peer);
    }
  }

  /** A call has ended. */
  ended(peer: Peer, error: unknown): void {
    if (error instanceof ServiceError && error.retry?.unprocessed === true) return this.#refused(peer);
    const code = error instanceof ServiceError ? error.code : undefined;
    // Gave up, or shed its load: neither tells whether it is broken.
    if (code === "canceled" || code === "resource_exhausted" || refusalReason(error) === OVERLOADED) return;
    const failed = error !== undefined && isFailure(error);
    if (this.#ejection?.record(peer, failed) === true) this.#rebalance();
  }

  #refused(peer: Peer): void {
    // One outage, however many calls were on their way into it; and none of an instance that has gone.
    const nowMs = this.#clock.now();
    if (nowMs < peer.avoidUntilMs || this.#peers.get(peer.instance.id) !== peer) return;
    peer.refused(nowMs);
    this.#down.add(peer);
  }

  #rebalance(): void {
    const all = [...this.#peers.values()];
    const out = this.#ejection?.out;
    const used = out === undefined || out.size === 0 ? all : all.filter((peer) => !out.has(peer));
    this.#balancer.update(used.length < all.length * PANIC ? all : used);
  }

  stop(): void {
    this.#peers = new Map();
    this.#down.clear();
  }
}
