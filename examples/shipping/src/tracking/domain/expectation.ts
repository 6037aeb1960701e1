import type { Itinerary } from "../../kernel/itinerary.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";
import type { TrackedEvent } from "./history.ts";

/** What is to happen to the cargo next, if all goes to plan. */
export interface Expectation {
  readonly type: TrackedEvent["type"];
  readonly location: UnLocode;
  readonly voyage: string | undefined;
}

/** Whether the itinerary foresees an event. Customs may look into a cargo anywhere. */
export function isExpected(itinerary: Itinerary, { type, location, voyage }: TrackedEvent): boolean {
  switch (type) {
    case "receive":
      return itinerary[0]?.from === location;
    case "load":
      return itinerary.some((leg) => leg.from === location && leg.voyage === voyage);
    case "unload":
      return itinerary.some((leg) => leg.to === location && leg.voyage === voyage);
    case "claim":
      return itinerary.at(-1)?.to === location;
    default:
      return true;
  }
}

/** What the itinerary foresees after an event that it foresaw; undefined after the last one. */
export function expectedAfter(itinerary: Itinerary, last: TrackedEvent | undefined): Expectation | undefined {
  const first = itinerary[0];
  if (first === undefined) return undefined;
  if (last === undefined) return { type: "receive", location: first.from, voyage: undefined };
  switch (last.type) {
    case "receive":
      return { type: "load", location: first.from, voyage: first.voyage };
    case "load": {
      const leg = itinerary.find((one) => one.from === last.location && one.voyage === last.voyage);
      return leg && { type: "unload", location: leg.to, voyage: leg.voyage };
    }
    case "unload": {
      const index = itinerary.findIndex((one) => one.to === last.location && one.voyage === last.voyage);
      const next = itinerary[index + 1];
      if (index < 0) return undefined;
      if (next === undefined) return { type: "claim", location: last.location, voyage: undefined };
      return { type: "load", location: next.from, voyage: next.voyage };
    }
    default:
      return undefined;
  }
}
