import type { Instant } from "./time.ts";
import type { UnLocode } from "./un-locode.ts";

/** One stage of a journey: on one voyage, from where the cargo is loaded to where it is unloaded. */
export interface Leg {
  readonly voyage: string;
  readonly from: UnLocode;
  readonly to: UnLocode;
  readonly loadAt: Instant;
  readonly unloadAt: Instant;
}

/** A way from origin to destination, stage by stage. The one notion that routing, booking and tracking share. */
export type Itinerary = readonly Leg[];

/** When the cargo is due at the end of the itinerary; undefined for an empty one. */
export function finalArrival(itinerary: Itinerary): Instant | undefined {
  return itinerary.at(-1)?.unloadAt;
}

/** What keeps a list of legs from being a journey, or undefined if nothing does. */
export function itineraryFlaw(itinerary: Itinerary): string | undefined {
  if (itinerary.length === 0) return "an itinerary has at least one leg";
  for (const [i, leg] of itinerary.entries()) {
    if (leg.from === leg.to) return `leg ${i + 1} ends where it begins, at ${leg.from}`;
    if (!(leg.loadAt < leg.unloadAt)) return `leg ${i + 1} is unloaded before it is loaded`;
    const before = itinerary[i - 1];
    if (before === undefined) continue;
    if (before.to !== leg.from) return `leg ${i + 1} begins at ${leg.from}, but the one before ends at ${before.to}`;
    if (before.unloadAt > leg.loadAt) return `leg ${i + 1} is loaded before the one before is unloaded`;
  }
  return undefined;
}

/** Whether two itineraries go the same way at the same times. */
export function isSameItinerary(a: Itinerary, b: Itinerary): boolean {
  return (
    a.length === b.length &&
    a.every((leg, i) => {
      const other = b[i];
      return (
        other !== undefined &&
        leg.voyage === other.voyage &&
        leg.from === other.from &&
        leg.to === other.to &&
        leg.loadAt === other.loadAt &&
        leg.unloadAt === other.unloadAt
      );
    })
  );
}
