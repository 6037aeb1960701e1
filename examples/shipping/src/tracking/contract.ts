import { contract, unary } from "flotilla/contract";
import { z } from "zod";
import { failedUnless, instant, legs, trackingId, unLocode } from "../kernel/wire.ts";

const eventType = z.enum(["receive", "load", "unload", "customs", "claim"]);

const trackedEvent = z.object({
  eventId: z.string(),
  type: eventType,
  location: unLocode,
  voyage: z.string().optional(),
  completedAt: instant,
});

export const delivery = z.object({
  trackingId,
  origin: unLocode,
  destination: unLocode,
  deadline: instant,
  transport: z.enum(["not_received", "in_port", "on_board", "claimed"]),
  lastKnownLocation: unLocode.optional(),
  currentVoyage: z.string().optional(),
  misdirected: z.boolean(),
  arrived: z.boolean(),
  eta: instant.optional(),
  nextExpected: z.object({ type: eventType, location: unLocode, voyage: z.string().optional() }).optional(),
  lastEvent: trackedEvent.optional(),
});

/** Where the cargos are. Hears of bookings and handling from their contexts, and answers from what it has heard. */
export const Tracking = contract("shipping.tracking.v1.Tracking", {
  track: unary({
    input: z.object({ trackingId }),
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("tracked"), delivery }),
      z.object({ kind: z.literal("unknown-cargo"), trackingId }),
    ]),
    failed: failedUnless("tracked"),
    safe: true,
    doc: "Where a cargo is and how it fares.",
  }),
  cargoChanged: unary({
    input: z.object({
      trackingId,
      origin: unLocode,
      destination: unLocode,
      deadline: instant,
      legs: legs.optional(),
      version: z.int().min(1),
    }),
    output: z.object({}),
    idempotent: true,
    doc: "Told by booking: a cargo was booked or changed.",
  }),
  cargoHandled: unary({
    input: z.object({ trackingId, event: trackedEvent }),
    output: z.object({}),
    idempotent: true,
    doc: "Told by handling: something happened to a cargo.",
  }),
});
