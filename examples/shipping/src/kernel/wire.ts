import { z } from "zod";
import type { Itinerary, Leg } from "./itinerary.ts";
import { fromIso, toIso } from "./time.ts";

// What several contracts say in the same words, and how it is told in those of the domain.

export const unLocode = z
  .string()
  .regex(/^[A-Z]{2}[A-Z2-9]{3}$/, "expected a UN/LOCODE such as NLRTM")
  .describe("UN/LOCODE of a port");

export const instant = z.iso.datetime({ offset: true }).describe("ISO 8601 date and time, with Z or an offset");

export const trackingId = z.string().min(1).max(40).describe("What a cargo is known by, C-7K3QX9T2VB");

const leg = z.object({
  voyage: z.string().min(1).max(40),
  from: unLocode,
  to: unLocode,
  loadAt: instant,
  unloadAt: instant,
});

export const legs = z.array(leg).max(12);

export type WireLeg = z.infer<typeof leg>;

/** An itinerary as it goes over the wire. */
export function legsToWire(itinerary: Itinerary): WireLeg[] {
  return itinerary.map((one: Leg) => ({ ...one, loadAt: toIso(one.loadAt), unloadAt: toIso(one.unloadAt) }));
}

/** An itinerary as it came over the wire. */
export function legsFromWire(wire: readonly WireLeg[]): Itinerary {
  return wire.map((one) => ({ ...one, loadAt: fromIso(one.loadAt), unloadAt: fromIso(one.unloadAt) }));
}

/** The label of a business outcome for metrics: undefined for the good one. */
export function failedUnless<Kind extends string>(...good: Kind[]): (response: { kind: string }) => string | undefined {
  return ({ kind }) => ((good as string[]).includes(kind) ? undefined : kind);
}
