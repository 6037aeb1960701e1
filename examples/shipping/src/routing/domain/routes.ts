import { finalArrival, type Itinerary } from "../../kernel/itinerary.ts";
import { hourMs, type Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";
import type { Network } from "./network.ts";
import { earliestArrivals } from "./search.ts";
import { findVoyage } from "./timetable.ts";

/** A wish for transport. */
export interface RouteRequest {
  readonly origin: UnLocode;
  readonly destination: UnLocode;
  /** The cargo is to have arrived by then. */
  readonly deadline: Instant;
  /** Candidates wanted, at most. */
  readonly limit: number;
}

export type RouteOutcome =
  | { readonly kind: "routes"; readonly routes: readonly Itinerary[] }
  | { readonly kind: "unknown-location"; readonly location: UnLocode };

/** Hours from acceptance at the origin to the first departure, at least. */
export const cutOffHours = 24;

/**
 * Candidates for a wish, the earliest arrival first; none if no ship arrives in time. Besides the earliest arrivals for each
 * number of legs: those that leave later, and those that do without one of the lines of the earliest, so that the customer
 * has a choice that is one.
 */
export function findRoutes(network: Network, request: RouteRequest, now: Instant): RouteOutcome {
  const origin = network.numbers.get(request.origin);
  if (origin === undefined) return { kind: "unknown-location", location: request.origin };
  const destination = network.numbers.get(request.destination);
  if (destination === undefined) return { kind: "unknown-location", location: request.destination };
  if (origin === destination) return { kind: "routes", routes: [] };

  const candidates = new Map<string, Itinerary>();
  const search = { origin, destination, readyAt: now + cutOffHours * hourMs, deadline: request.deadline };
  const collect = (itineraries: readonly Itinerary[]) => {
    for (const itinerary of itineraries) candidates.set(itinerary.map((leg) => leg.voyage + leg.to).join(), itinerary);
    return itineraries.at(-1);
  };
  const earliest = collect(earliestArrivals(network, search));
  if (earliest !== undefined && request.limit > 1) {
    for (const leg of earliest) {
      collect(earliestArrivals(network, { ...search, without: lineOf(network, leg.voyage) }));
    }
    let later: Itinerary | undefined = earliest;
    for (let i = 0; i < 2 && later?.[0] !== undefined; i++) {
      later = collect(earliestArrivals(network, { ...search, readyAt: later[0].loadAt + 1 }));
    }
  }
  const all = [...candidates.values()];
  const worthwhile = all.filter((itinerary) => !all.some((other) => other !== itinerary && isBetter(other, itinerary)));
  return { kind: "routes", routes: worthwhile.sort(byArrivalThenLegs).slice(0, request.limit) };
}

/** Whether one leaves no earlier, arrives no later and has no more legs, and is not the same in all three. */
function isBetter(a: Itinerary, b: Itinerary): boolean {
  const leaves = departure(a) - departure(b);
  const arrives = byArrivalThenLegs(a, b);
  return leaves >= 0 && arrives <= 0 && a.length <= b.length && (leaves > 0 || arrives < 0);
}

function departure(itinerary: Itinerary): Instant {
  return itinerary[0]?.loadAt ?? 0;
}

function lineOf(network: Network, voyage: string): ReadonlySet<number> {
  const line = findVoyage(network.byId, voyage)?.line;
  return new Set([network.lines.findIndex((candidate) => candidate.line === line)]);
}

function byArrivalThenLegs(a: Itinerary, b: Itinerary): number {
  return (finalArrival(a) ?? 0) - (finalArrival(b) ?? 0) || a.length - b.length;
}
