import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { LoadReport } from "../endpoint/load-report.ts";
import type { ServiceError } from "../errors/service-error.ts";

/** An instance as a balancer sees it. The client makes one an instance and keeps it for as long as the instance lives. */
export interface Candidate {
  readonly instance: Instance;
  /** Calls in flight from this client. */
  readonly inFlight: number;
  /** Comes back in need, after a call has found it well: it is to have its full share at once. Default false. */
  readonly warm?: boolean;
}

/** Tells of a candidate whether it is to be avoided. A `Set` does. */
export interface Avoided<C> {
  has(candidate: C): boolean;
}

/** Picks the instance of each call. State of its own, so each client has its own balancer. */
export interface Balancer<C extends Candidate = Candidate> {
  /** The full list, on every change. Instances that stay are the same objects as before, so their history can be kept. */
  update(candidates: readonly C[]): void;
  /**
   * The candidate for one call, or undefined when there is none. Constant time, or close to it.
   *
   * @param tried - candidates this call has failed on already: to be avoided as long as another is left.
   */
  pick(ctx: Context, tried?: Avoided<C>): C | undefined;
  /**
   * Told when a picked call has been answered, or has failed, where the balancer learns from that. Of a call that streams only that it has failed: how
   * long one lasts is up to who reads and writes it. What the reverse proxy passes on has been answered with its head, and may fail after it.
   *
   * @param latencyMs - undefined of a call that streams.
   * @param nowMs - when, on the clock it was built with.
   */
  done?(candidate: C, latencyMs: number | undefined, error: ServiceError | undefined, nowMs: number): void;
  /** Told how busy a candidate is, when an answer of it says so; after `done`, where that is the answer to a call. */
  report?(candidate: C, load: LoadReport, nowMs: number): void;
}

/** What a balancer is built with. */
export interface BalancerDeps<C extends Candidate = Candidate> {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Asks a candidate how busy it is, without a call of the user's: for balancers that live by reports, where answers bring too few.
   * What it says comes in by `report`. Resolves when that is over, whatever came of it: with false when it cannot be asked. Left out
   * where none can.
   */
  readonly probe?: (candidate: C) => Promise<boolean>;
}

/** What `roundRobin()`, `random()`, `leastRequest()` give: makes the balancer of one client. */
export type BalancerFactory = <C extends Candidate>(deps: BalancerDeps<C>) => Balancer<C>;
