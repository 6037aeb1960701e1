import { contract, unary } from "flotilla/contract";
import { z } from "zod";
import { failedUnless, instant, trackingId, unLocode } from "../kernel/wire.ts";

const handlingType = z.enum(["receive", "load", "unload", "customs", "claim"]);

export const handlingReport = z.object({
  eventId: z.string().min(1).max(80).describe("Chosen by who reports: the same id twice is the same event"),
  trackingId,
  type: handlingType,
  location: unLocode,
  voyage: z.string().min(1).max(40).optional().describe("For load and unload, and only for them"),
  completedAt: instant,
});

export const handlingEvent = handlingReport.extend({ registeredAt: instant });

/** What happens to cargos in the ports. */
export const Handling = contract("shipping.handling.v1.Handling", {
  register: unary({
    input: handlingReport,
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("registered"), event: handlingEvent }),
      z.object({ kind: z.literal("already-registered"), event: handlingEvent }),
      z.object({ kind: z.literal("conflicting-event"), eventId: z.string() }),
      z.object({ kind: z.literal("voyage-required"), type: handlingType }),
      z.object({ kind: z.literal("voyage-not-allowed"), type: handlingType }),
      z.object({ kind: z.literal("implausible-time") }),
      z.object({ kind: z.literal("unknown-cargo"), trackingId }),
      z.object({ kind: z.literal("unknown-location"), location: z.string() }),
      z.object({ kind: z.literal("unknown-voyage"), voyage: z.string() }),
      z.object({ kind: z.literal("not-a-call"), location: z.string(), voyage: z.string() }),
      z.object({ kind: z.literal("already-claimed"), trackingId }),
    ]),
    failed: failedUnless("registered", "already-registered"),
    idempotent: true,
    doc: "Registers a handling event, once however often it is reported.",
  }),
});
