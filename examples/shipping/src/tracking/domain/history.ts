import type { Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";

/** What happened to a cargo, as tracking hears it from handling. */
export interface TrackedEvent {
  readonly eventId: string;
  readonly type: "receive" | "load" | "unload" | "customs" | "claim";
  readonly location: UnLocode;
  readonly voyage: string | undefined;
  readonly completedAt: Instant;
}

/** Order of events reported for the same instant: ashore before aboard, handing over last. */
const rank = { receive: 0, unload: 1, customs: 2, load: 3, claim: 4 } as const;

/** The events in the order in which they happened, each once, however they were reported. */
export function inOrder(events: readonly TrackedEvent[]): TrackedEvent[] {
  const unique = new Map(events.map((event) => [event.eventId, event]));
  return [...unique.values()].sort(
    (a, b) => a.completedAt - b.completedAt || rank[a.type] - rank[b.type] || (a.eventId < b.eventId ? -1 : 1),
  );
}
