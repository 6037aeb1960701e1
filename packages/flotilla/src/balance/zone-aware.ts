import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import { attemptsKey } from "../endpoint/attempt.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { Avoided, Balancer, BalancerDeps, BalancerFactory, Candidate } from "./balancer.ts";
import { Zone } from "./zone.ts";
import { ZoneShares } from "./zone-shares.ts";

/** Options of {@link zoneAware}. */
export interface ZoneAwareOptions {
  /** The zone of the caller, as instances say theirs. Not empty. */
  readonly zone: string;
  /**
   * How the callers of the service are spread: of each zone that has any their number, or their traffic in any unit; 0 or more, and
   * more than 0 for `zone`. Default: alike over the zones that have instances.
   */
  readonly clients?: Readonly<Record<string, number>>;
  /** Of fewer instances in all, zones are not heeded; 1 or more. Default 6. */
  readonly minInstances?: number;
}

class ZoneAware<C extends Candidate> implements Balancer<C> {
  readonly report?: NonNullable<Balancer<C>["report"]>;
  readonly #local: string;
  readonly #minInstances: number;
  readonly #random: Random;
  readonly #make: () => Balancer<C>;
  readonly #shares: ZoneShares;
  /** Over all of them, while zones are not heeded. */
  readonly #all: Balancer<C>;
  /** By name, that of the caller first; empty while zones are not heeded. */
  #zones = new Map<string, Zone<C>>();
  #list: readonly Zone<C>[] = [];

  constructor(
    options: Required<Omit<ZoneAwareOptions, "clients">>,
    shares: ZoneShares,
    inner: BalancerFactory,
    deps: BalancerDeps<C>,
  ) {
    this.#local = options.zone;
    this.#minInstances = options.minInstances;
    this.#random = deps.random;
    this.#make = () => inner(deps);
    this.#shares = shares;
    this.#all = inner(deps);
    if (this.#all.report !== undefined)
      this.report = (candidate, load, nowMs) => this.#of(candidate).report?.(candidate, load, nowMs);
  }

  update(candidates: readonly C[]): void {
    const byZone = new Map<string, C[]>([[this.#local, []]]);
    for (const candidate of candidates) {
      const zone = candidate.instance.zone ?? "";
      const others = byZone.get(zone);
      if (others === undefined) byZone.set(zone, [candidate]);
      else others.push(candidate);
    }
    const heeded = candidates.length >= this.#minInstances && byZone.size > 1 && byZone.get(this.#local)!.length > 0;
    const before = this.#zones;
    this.#zones = new Map();
    if (heeded) {
      for (const [name, members] of byZone) {
        const zone = before.get(name) ?? new Zone(name, this.#make());
        zone.update(members);
        this.#zones.set(name, zone);
      }
    }
    this.#list = [...this.#zones.values()];
    this.#shares.reset();
    // What is not asked need not know of anybody.
    this.#all.update(heeded ? [] : candidates);
  }

  pick(ctx: Context, tried?: Avoided<C>): C | undefined {
    const zones = this.#list;
    if (zones.length === 0) return this.#all.pick(ctx, tried);
    // Further attempts of a call go to another zone: the one before may be gone as a whole.
    const before = tried === undefined ? undefined : ctx.value(attemptsKey)?.instance;
    const first =
      before === undefined
        ? this.#shares.draw(zones, this.#random)
        : this.#shares.drawAnother(zones, before.zone ?? "", this.#random);
    const picked = zones[first]!.pick(ctx, tried, this.#random);
    if (tried?.has(picked) !== true) return picked;
    // All of that zone are to be avoided: another zone then, the nearest first.
    for (let i = 0; i < zones.length; i++) {
      if (i === first) continue;
      const other = zones[i]!.pick(ctx, tried, this.#random);
      if (!tried.has(other)) return other;
    }
    return picked;
  }

  done(candidate: C, latencyMs: number | undefined, error: ServiceError | undefined, nowMs: number): void {
    if (latencyMs !== undefined)
      this.#shares.done((candidate.instance.zone ?? "") === this.#local, latencyMs, error, nowMs);
    this.#of(candidate).done?.(candidate, latencyMs, error, nowMs);
  }

  #of(candidate: C): Balancer<C> {
    return this.#zones.get(candidate.instance.zone ?? "")?.balancer ?? this.#all;
  }
}

/**
 * Keeps calls in the zone of the caller as long as it can do them, and lets the rest go to other zones in proportion to what they can do
 * beyond the calls of their own. Within each zone the inner balancer picks.
 *
 * A zone can do what its instances weigh, those that are down left out; it is asked for what its clients ask. So no zone gets more than
 * its share, whatever their sizes, as long as clients are spread as `clients` says. Where they are not it shows: when calls within the
 * zone take one and a half times as long as others, a quarter of what stays is given away twice a second, and taken back little by
 * little. For that to be known, two calls of a hundred go anywhere.
 *
 * Zones are not heeded when the zone of the caller has no instance, when there is no other zone, and of fewer than `minInstances`. Not
 * for `ringHash` and `maglev`: a key would have an instance in each zone.
 *
 * Algorithm: zone aware routing of Envoy (local upstream against local clients, the rest by residual capacity), and the comparison of
 * latencies.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function zoneAware(options: ZoneAwareOptions, inner: BalancerFactory): BalancerFactory {
  const { zone, clients, minInstances = 6 } = options;
  if (zone === "") throw new RangeError("zoneAware: zone must not be empty");
  if (!(minInstances >= 1)) throw new RangeError(`zoneAware: minInstances must be 1 or more, got ${minInstances}`);
  if (clients !== undefined) {
    for (const [name, count] of Object.entries(clients)) {
      if (!(count >= 0 && count < Infinity)) {
        throw new RangeError(`zoneAware: clients must be 0 or more in each zone, got ${count} in ${name}`);
      }
    }
    if (!(clients[zone]! > 0))
      throw new RangeError(`zoneAware: clients must be more than 0 in ${zone}, the zone of the caller`);
  }
  return (deps) => new ZoneAware({ zone, minInstances }, new ZoneShares(clients), inner, deps);
}
