import { contract, serverStream, unary } from "flotilla/contract";
import { z } from "zod";
import { failedUnless, instant, legs, unLocode } from "../kernel/wire.ts";

export const port = z.object({
  code: unLocode,
  name: z.string(),
  country: z.string(),
  longitude: z.number(),
  latitude: z.number(),
});

export const voyage = z.object({
  number: z.string(),
  carrier: z.string(),
  movements: z.array(z.object({ from: unLocode, to: unLocode, departAt: instant, arriveAt: instant })),
});

export const portQuery = z.object({
  query: z.string().max(100).optional().describe("Part of a port's name or code"),
  country: z.string().max(100).optional().describe("Name of a country, or its two letters"),
  limit: z.int().min(1).max(500).default(50),
});

const routeRequest = z.object({
  origin: unLocode,
  destination: unLocode,
  deadline: instant,
  limit: z.int().min(1).max(10).default(5),
});

/** The ports that are served, the voyages between them, and the ways to go. */
export const Routing = contract("shipping.routing.v1.Routing", {
  routes: unary({
    input: routeRequest,
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("routes"), routes: z.array(legs) }),
      z.object({ kind: z.literal("unknown-location"), location: z.string() }),
    ]),
    failed: failedUnless("routes"),
    safe: true,
    doc: "Itineraries that arrive in time, the earliest arrival first; none if no ship makes it.",
  }),
  offers: serverStream({
    input: routeRequest,
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("route"), legs }),
      z.object({ kind: z.literal("unknown-location"), location: z.string() }),
    ]),
    safe: true,
    doc: "The same, one after the other: the caller leaves when it has seen enough.",
  }),
  verify: unary({
    input: z.object({ legs }),
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("sailed") }),
      z.object({ kind: z.literal("not-sailed"), reason: z.string() }),
    ]),
    failed: failedUnless("sailed"),
    safe: true,
    doc: "Whether every leg is a stretch of a voyage, at the times it says.",
  }),
  voyage: unary({
    input: z.object({ number: z.string().min(1).max(40) }),
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("found"), voyage }),
      z.object({ kind: z.literal("unknown-voyage"), number: z.string() }),
    ]),
    failed: failedUnless("found"),
    safe: true,
    doc: "The schedule of a voyage.",
  }),
  ports: unary({
    input: portQuery,
    output: z.object({ ports: z.array(port) }),
    safe: true,
    doc: "Ports that are served, by name, code or country.",
  }),
});
