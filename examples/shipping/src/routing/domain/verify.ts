import type { Itinerary } from "../../kernel/itinerary.ts";
import { findVoyage, type Line, voyageStart } from "./timetable.ts";

/** Why an itinerary cannot be sailed, or undefined if every leg is a stretch of a voyage at the times it says. */
export function whyNotSailed(lines: ReadonlyMap<string, Line>, itinerary: Itinerary): string | undefined {
  for (const { voyage: number, from, to, loadAt, unloadAt } of itinerary) {
    const voyage = findVoyage(lines, number);
    if (voyage === undefined) return `there is no voyage ${number}`;
    const start = voyageStart(voyage.line, voyage.week);
    const { calls } = voyage.line;
    const load = calls.findIndex((call) => call.port === from && start + call.depart === loadAt);
    if (load < 0) return `voyage ${number} does not leave ${from} at that time`;
    const unload = calls.findIndex((call, i) => i > load && call.port === to && start + call.arrive === unloadAt);
    if (unload < 0) return `voyage ${number} does not reach ${to} at that time`;
  }
  return undefined;
}
