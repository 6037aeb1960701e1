import type { Itinerary } from "../../kernel/itinerary.ts";
import type { Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";

/** A cargo as tracking knows it: booking's decisions, as last heard. */
export interface TrackedCargo {
  readonly trackingId: string;
  readonly origin: UnLocode;
  readonly destination: UnLocode;
  readonly deadline: Instant;
  readonly itinerary: Itinerary | undefined;
  /** Booking's count of changes: of two messages, the one with the higher version holds. */
  readonly version: number;
}
