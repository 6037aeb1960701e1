import { contract, serverStream, unary } from "flotilla/contract";
import { z } from "zod";
import { cargo } from "../booking/contract.ts";
import { handlingEvent, handlingReport } from "../handling/contract.ts";
import { instant, legs, trackingId, unLocode } from "../kernel/wire.ts";
import { port, portQuery, voyage } from "../routing/contract.ts";
import { delivery } from "../tracking/contract.ts";

/** What customers and terminals see: REST routes. A business outcome that is none of the good ones is a problem+json. */
export const Shipping = contract("shipping.gateway.v1.Shipping", {
  book: unary({
    input: z.object({ origin: unLocode, destination: unLocode, deadline: instant }),
    output: cargo,
    rest: { route: "POST /cargos", status: 201 },
    doc: "Books a cargo.",
  }),
  cargo: unary({
    input: z.object({ id: trackingId }),
    output: cargo,
    rest: "GET /cargos/{id}",
    doc: "A cargo as it was booked and routed.",
  }),
  routes: unary({
    input: z.object({ id: trackingId, limit: z.int().min(1).max(10).default(5) }),
    output: z.object({ routes: z.array(z.object({ arrival: instant, legs })) }),
    rest: "GET /cargos/{id}/routes",
    doc: "Ways to bring the cargo to its destination in time, the earliest arrival first.",
  }),
  offers: serverStream({
    input: z.object({ id: trackingId, limit: z.int().min(1).max(10).default(5) }),
    output: z.object({ arrival: instant, legs }),
    doc: "The same, one after the other. A stream: for clients of the Connect protocol.",
  }),
  assignRoute: unary({
    input: z.object({ id: trackingId, legs }),
    output: cargo,
    idempotent: true,
    rest: "POST /cargos/{id}/route",
    doc: "Chooses one of the ways.",
  }),
  changeDestination: unary({
    input: z.object({ id: trackingId, destination: unLocode }),
    output: cargo,
    rest: "PUT /cargos/{id}/destination",
    doc: "Sends the cargo elsewhere.",
  }),
  registerHandling: unary({
    input: handlingReport,
    output: handlingEvent,
    idempotent: true,
    rest: { route: "POST /handling-events", status: 201 },
    doc: "Reports what was done with a cargo.",
  }),
  track: unary({
    input: z.object({ id: trackingId }),
    output: delivery,
    rest: "GET /tracking/{id}",
    doc: "Where a cargo is.",
  }),
  ports: unary({
    input: portQuery,
    output: z.object({ ports: z.array(port) }),
    rest: "GET /ports",
    doc: "Ports that are served.",
  }),
  voyage: unary({
    input: z.object({ number: z.string().min(1).max(40) }),
    output: voyage,
    rest: "GET /voyages/{number}",
    doc: "The schedule of a voyage.",
  }),
});
