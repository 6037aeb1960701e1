import { dayMs, type Instant } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";

export const handlingTypes = ["receive", "load", "unload", "customs", "claim"] as const;
export type HandlingType = (typeof handlingTypes)[number];

/** What somebody did with a cargo, as reported by a terminal. The terminal names the event, so that it may report it twice. */
export interface HandlingReport {
  readonly eventId: string;
  readonly trackingId: string;
  readonly type: HandlingType;
  readonly location: UnLocode;
  /** For loading and unloading: which voyage. */
  readonly voyage: string | undefined;
  readonly completedAt: Instant;
}

/** A report that was accepted. */
export interface HandlingEvent extends HandlingReport {
  readonly registeredAt: Instant;
}

/** What the rest of the world knows of a report. */
export interface HandlingFacts {
  /** The event already registered under the same id. */
  readonly known: HandlingEvent | undefined;
  readonly cargoExists: boolean;
  readonly locationExists: boolean;
  /** The ports the voyage calls at; undefined when there is no such voyage or the report names none. */
  readonly voyageCalls: readonly UnLocode[] | undefined;
  /** Whether the cargo was handed over to its owner before. */
  readonly claimed: boolean;
  readonly now: Instant;
}

export type RegisterOutcome =
  | { readonly kind: "registered"; readonly event: HandlingEvent }
  | { readonly kind: "already-registered"; readonly event: HandlingEvent }
  | { readonly kind: "conflicting-event"; readonly eventId: string }
  | { readonly kind: "voyage-required"; readonly type: HandlingType }
  | { readonly kind: "voyage-not-allowed"; readonly type: HandlingType }
  | { readonly kind: "implausible-time" }
  | { readonly kind: "unknown-cargo"; readonly trackingId: string }
  | { readonly kind: "unknown-location"; readonly location: UnLocode }
  | { readonly kind: "unknown-voyage"; readonly voyage: string }
  | { readonly kind: "not-a-call"; readonly location: UnLocode; readonly voyage: string }
  | { readonly kind: "already-claimed"; readonly trackingId: string };

/** How far from now a completion may lie. Wide, because a demonstration sails months ahead in seconds. */
export const plausibleDays = 730;

/** Whether this kind of handling happens aboard a ship. */
export function concernsVoyage(type: HandlingType): boolean {
  return type === "load" || type === "unload";
}

/** Accepts a report or says why not. The same report again is no error: the event is registered once. */
export function registerHandling(report: HandlingReport, facts: HandlingFacts): RegisterOutcome {
  const { known, now } = facts;
  const { eventId, trackingId, type, location, voyage, completedAt } = report;
  if (known !== undefined) {
    return isSameReport(report, known)
      ? { kind: "already-registered", event: known }
      : { kind: "conflicting-event", eventId };
  }
  if (concernsVoyage(type) && voyage === undefined) return { kind: "voyage-required", type };
  if (!concernsVoyage(type) && voyage !== undefined) return { kind: "voyage-not-allowed", type };
  if (!(Math.abs(completedAt - now) <= plausibleDays * dayMs)) return { kind: "implausible-time" };
  if (!facts.cargoExists) return { kind: "unknown-cargo", trackingId };
  if (!facts.locationExists) return { kind: "unknown-location", location };
  if (voyage !== undefined) {
    if (facts.voyageCalls === undefined) return { kind: "unknown-voyage", voyage };
    if (!facts.voyageCalls.includes(location)) return { kind: "not-a-call", location, voyage };
  }
  if (facts.claimed) return { kind: "already-claimed", trackingId };
  return { kind: "registered", event: { ...report, registeredAt: now } };
}

function isSameReport(a: HandlingReport, b: HandlingReport): boolean {
  return (
    a.trackingId === b.trackingId &&
    a.type === b.type &&
    a.location === b.location &&
    a.voyage === b.voyage &&
    a.completedAt === b.completedAt
  );
}
