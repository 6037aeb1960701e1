import { contract, unary } from "flotilla/contract";
import { z } from "zod";
import { failedUnless, instant, legs, trackingId, unLocode } from "../kernel/wire.ts";

export const cargo = z.object({
  trackingId,
  origin: unLocode,
  destination: unLocode,
  deadline: instant,
  bookedAt: instant,
  routing: z.enum(["not_routed", "routed", "misrouted"]),
  itinerary: legs.optional(),
  version: z.int(),
});

const unknownCargo = z.object({ kind: z.literal("unknown-cargo"), trackingId });
const refusals = [
  z.object({ kind: z.literal("unknown-location"), location: z.string() }),
  z.object({ kind: z.literal("same-origin-and-destination") }),
  z.object({ kind: z.literal("deadline-past") }),
] as const;

/** Orders for transport: taken, routed, changed. */
export const Booking = contract("shipping.booking.v1.Booking", {
  book: unary({
    input: z.object({ origin: unLocode, destination: unLocode, deadline: instant }),
    output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("booked"), cargo }), ...refusals]),
    failed: failedUnless("booked"),
    doc: "Books a cargo for transport.",
  }),
  cargo: unary({
    input: z.object({ trackingId }),
    output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("found"), cargo }), unknownCargo]),
    failed: failedUnless("found"),
    safe: true,
    doc: "A cargo as it was booked and routed.",
  }),
  assignRoute: unary({
    input: z.object({ trackingId, legs }),
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("assigned"), cargo }),
      z.object({ kind: z.literal("unfit-itinerary"), reason: z.string() }),
      unknownCargo,
    ]),
    failed: failedUnless("assigned"),
    idempotent: true,
    doc: "Gives a cargo its itinerary, or another one.",
  }),
  changeDestination: unary({
    input: z.object({ trackingId, destination: unLocode }),
    output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("changed"), cargo }), ...refusals, unknownCargo]),
    failed: failedUnless("changed"),
    idempotent: true,
    doc: "Sends a cargo elsewhere; its itinerary stays, and is wrong until another is assigned.",
  }),
});
