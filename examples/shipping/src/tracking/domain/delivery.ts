import { finalArrival, type Itinerary } from "../../kernel/itinerary.ts";
import type { Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";
import { type Expectation, expectedAfter, isExpected } from "./expectation.ts";
import { inOrder, type TrackedEvent } from "./history.ts";

type TransportStatus = "not_received" | "in_port" | "on_board" | "claimed";

/** Where a cargo is and how it fares: worked out anew from plan and history, never stored. */
export interface Delivery {
  readonly transport: TransportStatus;
  readonly lastKnownLocation: UnLocode | undefined;
  readonly currentVoyage: string | undefined;
  /** Whether the last thing that happened was not in the plan. */
  readonly misdirected: boolean;
  /** When it is due at its destination; undefined when it has no plan, or left it. */
  readonly eta: Instant | undefined;
  readonly nextExpected: Expectation | undefined;
  readonly arrived: boolean;
  readonly lastEvent: TrackedEvent | undefined;
}

/** What {@link deliveryOf} works from. */
export interface DeliverySources {
  readonly destination: UnLocode;
  readonly itinerary: Itinerary | undefined;
  /** In any order, repetitions allowed. */
  readonly events: readonly TrackedEvent[];
}

/** The delivery of a cargo. Depends on what happened, not on the order in which one heard of it. */
export function deliveryOf({ destination, itinerary, events }: DeliverySources): Delivery {
  const history = inOrder(events);
  const lastEvent = history.at(-1);
  // Customs looks at a cargo where it lies and moves it nowhere: what comes next follows from the event before.
  const lastMove = history.findLast((event) => event.type !== "customs");
  const misdirected = itinerary !== undefined && lastMove !== undefined && !isExpected(itinerary, lastMove);
  const onPlan = itinerary !== undefined && !misdirected;
  const aboard = lastMove?.type === "load";
  return {
    transport: transportStatus(lastMove ?? lastEvent),
    lastKnownLocation: lastEvent?.location,
    currentVoyage: aboard ? lastMove.voyage : undefined,
    misdirected,
    eta: onPlan ? finalArrival(itinerary) : undefined,
    nextExpected: onPlan ? expectedAfter(itinerary, lastMove) : undefined,
    arrived: (lastMove?.type === "unload" || lastMove?.type === "claim") && lastMove.location === destination,
    lastEvent,
  };
}

function transportStatus(last: TrackedEvent | undefined): TransportStatus {
  switch (last?.type) {
    case undefined:
      return "not_received";
    case "load":
      return "on_board";
    case "claim":
      return "claimed";
    default:
      return "in_port";
  }
}
