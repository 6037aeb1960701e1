import { finalArrival, type Itinerary } from "../../kernel/itinerary.ts";
import type { Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";

/** What the customer wants: from where, to where, by when. */
export interface RouteSpecification {
  readonly origin: UnLocode;
  readonly destination: UnLocode;
  readonly deadline: Instant;
}

/** Why an itinerary does not do what was asked, or undefined if it does. */
export function shortfall(specification: RouteSpecification, itinerary: Itinerary): string | undefined {
  const { origin, destination, deadline } = specification;
  const from = itinerary[0]?.from;
  const to = itinerary.at(-1)?.to;
  if (from !== origin) return `it begins at ${from ?? "no port"}, the cargo is at ${origin}`;
  if (to !== destination) return `it ends at ${to}, the cargo is for ${destination}`;
  if ((finalArrival(itinerary) ?? Number.POSITIVE_INFINITY) > deadline) return "it arrives after the deadline";
  return undefined;
}
