import { type Itinerary, isSameItinerary, itineraryFlaw } from "../../kernel/itinerary.ts";
import type { Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";
import { type RouteSpecification, shortfall } from "./route-specification.ts";

/** A cargo as booking sees it: what was ordered, and the way it was given. */
export interface Cargo {
  readonly trackingId: string;
  readonly specification: RouteSpecification;
  readonly itinerary: Itinerary | undefined;
  readonly bookedAt: Instant;
  /** Counts the changes, from 1: who hears of two in the wrong order knows the later one. */
  readonly version: number;
}

/** Whether there is a way, and whether it still leads where the cargo is to go. */
export type RoutingStatus = "not_routed" | "routed" | "misrouted";

/** What {@link bookCargo} needs to know of the world. */
export interface BookingFacts {
  readonly trackingId: string;
  readonly isServed: (location: UnLocode) => boolean;
  readonly now: Instant;
}

type RefusedSpecification =
  | { readonly kind: "unknown-location"; readonly location: UnLocode }
  | { readonly kind: "same-origin-and-destination" }
  | { readonly kind: "deadline-past" };

export type BookOutcome = { readonly kind: "booked"; readonly cargo: Cargo } | RefusedSpecification;
export type ChangeOutcome = { readonly kind: "changed"; readonly cargo: Cargo } | RefusedSpecification;
export type AssignOutcome =
  | { readonly kind: "assigned"; readonly cargo: Cargo }
  | { readonly kind: "unfit-itinerary"; readonly reason: string };

/** Takes an order for transport. */
export function bookCargo(specification: RouteSpecification, facts: BookingFacts): BookOutcome {
  const { trackingId, now } = facts;
  const refused = refuse(specification, facts);
  if (refused !== undefined) return refused;
  return { kind: "booked", cargo: { trackingId, specification, itinerary: undefined, bookedAt: now, version: 1 } };
}

/** Gives a cargo its way. Another one reroutes it; the same one again changes nothing. */
export function assignItinerary(cargo: Cargo, itinerary: Itinerary): AssignOutcome {
  const reason = itineraryFlaw(itinerary) ?? shortfall(cargo.specification, itinerary);
  if (reason !== undefined) return { kind: "unfit-itinerary", reason };
  if (cargo.itinerary !== undefined && isSameItinerary(cargo.itinerary, itinerary)) return { kind: "assigned", cargo };
  return { kind: "assigned", cargo: { ...cargo, itinerary, version: cargo.version + 1 } };
}

/** Sends a cargo elsewhere; to where it goes already changes nothing. Its itinerary stays, so that it may now be misrouted until another one is assigned. */
export function changeDestination(
  cargo: Cargo,
  destination: UnLocode,
  facts: Pick<BookingFacts, "isServed" | "now">,
): ChangeOutcome {
  const specification = { ...cargo.specification, destination };
  const refused = refuse(specification, facts);
  if (refused !== undefined) return refused;
  if (destination === cargo.specification.destination) return { kind: "changed", cargo };
  return { kind: "changed", cargo: { ...cargo, specification, version: cargo.version + 1 } };
}

/** Where a cargo stands with its routing. */
export function routingStatus({ specification, itinerary }: Pick<Cargo, "specification" | "itinerary">): RoutingStatus {
  if (itinerary === undefined) return "not_routed";
  return shortfall(specification, itinerary) === undefined ? "routed" : "misrouted";
}

function refuse(
  { origin, destination, deadline }: RouteSpecification,
  { isServed, now }: Pick<BookingFacts, "isServed" | "now">,
): RefusedSpecification | undefined {
  for (const location of [origin, destination]) {
    if (!isServed(location)) return { kind: "unknown-location", location };
  }
  if (origin === destination) return { kind: "same-origin-and-destination" };
  // A deadline that is no date at all compares false, and is refused as well.
  return deadline > now ? undefined : { kind: "deadline-past" };
}
