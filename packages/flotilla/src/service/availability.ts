import type { Avoided, Balancer } from "../balance/balancer.ts";
import { Ejection, type EjectionOptions } from "../balance/ejection.ts";
import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import { refusalReason } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isFailure } from "../resilience/failure.ts";
import { DEADLINE_TOO_NEAR, OVERLOADED } from "../resilience/refusal.ts";
import type { Peer } from "./peer.ts";

/** Below this share of instances that are not ejected all are used: better to fail some calls than to drown the few. */
const PANIC = 0.5;
/** How long one is left alone that says it is about to go, milliseconds. */
const GOING_MS = 1000;
/** While those in use have too much to do, one call in so long looks whether one that is out can serve, milliseconds. */
const TRIAL_MS = 1000;

/** Those a call has tried, and those that are down until it is time to see whether they are back. */
class Unavailable implements Avoided<Peer> {
  tried: Avoided<Peer> | undefined;
  nowMs = 0;
  /** Whether the others have too much to do. */
  needed = false;

  has(peer: Peer): boolean {
    if (this.tried?.has(peer) === true) return true;
    // What is silent for having too much to do is needed.
    return this.nowMs < peer.avoidUntilMs && !(peer.silent && this.needed);
  }
}

/**
 * Which instances calls may go to. One that cannot be reached, or has not answered for long, is avoided for a moment, while it is
 * looked at again; one that fails where others do not is taken out of the balance. Where the others have too much to do, those
 * that were slow under the same load are wanted back.
 */
export class Availability {
  readonly #balancer: Balancer<Peer>;
  readonly #ejection: Ejection<Peer> | undefined;
  readonly #clock: Clock;
  #peers: ReadonlyMap<string, Peer> = new Map();
  /** Those that refused their last call. A dead instance fails fast, and would look like the one with the least to do. */
  readonly #down = new Set<Peer>();
  /** One in use has refused a call for overload or was too late, and nobody has looked since whether one that is out can serve. */
  #crowded = false;
  /** When one in use last had too much to do. */
  #busyMs = -Infinity;
  /** Out, and serving a call that shows whether it can. */
  #onTrial: Peer | undefined;
  #nextTrialMs = 0;
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

  /** Those that are out of the balance. */
  get ejected(): readonly Peer[] {
    return [...(this.#ejection?.out ?? [])];
  }

  /** All instances there are now. */
  update(peers: ReadonlyMap<string, Peer>): void {
    this.#peers = peers;
    for (const peer of this.#down) if (peers.get(peer.instance.id) !== peer) this.#down.delete(peer);
    this.#ejection?.update(peers.values());
    this.#rebalance();
  }

  /**
   * One that is out, for a call that finds out whether it can serve: where the others have too much to do, nothing is worse than
   * leaving out one that was ejected for being slow under the same load. Undefined when it is not the time.
   *
   * @param tried - by this call, which is not to ask the same one twice.
   */
  trial(tried: Avoided<Peer> | undefined): Peer | undefined {
    if (!this.#crowded) return undefined;
    const nowMs = this.#clock.now();
    if (nowMs < this.#nextTrialMs) return undefined;
    for (const peer of this.#ejection!.out) {
      // What is still busy with calls from before has not recovered, and their ends would be taken for that of the trial.
      if (peer.inFlight > 0 || nowMs < peer.avoidUntilMs || tried?.has(peer) === true) continue;
      this.#crowded = false;
      this.#nextTrialMs = nowMs + TRIAL_MS;
      this.#onTrial = peer;
      return peer;
    }
    return undefined;
  }

  /** What a call is to avoid that is picked for now: what it has tried, and those that are down. */
  avoided(tried: Avoided<Peer> | undefined): Avoided<Peer> | undefined {
    if (this.#ejection !== undefined && this.#ejection.out.size > 0 && this.#ejection.look()) this.#rebalance();
    if (this.#down.size === 0) return tried;
    const nowMs = this.#clock.now();
    this.#avoided.nowMs = nowMs;
    this.#avoided.needed = nowMs - this.#busyMs <= TRIAL_MS;
    this.#avoided.tried = tried;
    return this.#avoided;
  }

  /** A call goes there. One at a time finds out whether an instance that is silent answers again, however many streams it has had before. */
  picked(peer: Peer): void {
    if (peer.silent) peer.asked(this.#clock.now());
  }

  /** A call has begun to be answered. */
  answered(peer: Peer): void {
    peer.heard();
    if (peer.refusals > 0) {
      peer.refusals = 0;
      peer.avoidUntilMs = 0;
      this.#down.delete(peer);
    }
    // A stream may last for hours.
    if (peer === this.#onTrial) this.#readmit(peer);
  }

  /** One that was out has been found well. */
  #readmit(peer: Peer): void {
    this.#onTrial = undefined;
    peer.warm = this.#ejection!.readmit(peer);
    if (peer.warm) this.#rebalance();
    peer.warm = false;
  }

  /** A call has ended. */
  ended(peer: Peer, error: unknown): void {
    if (error instanceof ServiceError && error.retry?.unprocessed === true) return this.#refused(peer);
    this.#listen(peer);
    const code = error instanceof ServiceError ? error.code : undefined;
    // Gave up: that tells nothing of the instance, and where that was to be found out another call may.
    if (code === "canceled") {
      if (peer.silent) peer.avoidUntilMs = 0;
      return;
    }
    const reason = error === undefined ? undefined : refusalReason(error);
    const shed = code === "resource_exhausted" || reason === OVERLOADED;
    const late = code === "deadline_exceeded" && reason !== DEADLINE_TOO_NEAR;
    if (!late) peer.heard();
    else if (peer.late(this.#clock.now())) this.#refused(peer);
    const ejection = this.#ejection;
    if (shed || late) this.#busy(peer, ejection?.out);
    if (ejection === undefined) return;
    // Shed its load, or was asked too late: it is not broken.
    if (shed || reason === DEADLINE_TOO_NEAR) return;
    const failed = error !== undefined && isFailure(error);
    if (ejection.record(peer, failed)) this.#rebalance();
    if (peer !== this.#onTrial) return;
    if (failed) this.#onTrial = undefined;
    else this.#readmit(peer);
  }

  /** What says that it is about to go is left alone for a moment, and longer for as long as it says so. */
  #listen(peer: Peer): void {
    if (!peer.going) {
      // It has stayed.
      if (peer.refusals === 0 && this.#down.size > 0) this.#down.delete(peer);
      return;
    }
    if (this.#peers.get(peer.instance.id) !== peer) return;
    peer.avoidUntilMs = this.#clock.now() + GOING_MS;
    this.#down.add(peer);
  }

  /** One in use has too much to do, or seems to: those that are left alone may be needed. */
  #busy(peer: Peer, out: ReadonlySet<Peer> | undefined): void {
    if (!peer.silent) this.#busyMs = this.#clock.now();
    if (out !== undefined && out.size > 0 && !out.has(peer)) this.#crowded = true;
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
