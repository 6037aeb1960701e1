import type { Implementation } from "flotilla/contract";
import { fromIso, toIso } from "../kernel/time.ts";
import { legsFromWire, legsToWire } from "../kernel/wire.ts";
import { searchPorts } from "../ports/directory.ts";
import type { Routing } from "./contract.ts";
import { createNetwork } from "./domain/network.ts";
import { findRoutes } from "./domain/routes.ts";
import { findVoyage, movements } from "./domain/timetable.ts";
import { whyNotSailed } from "./domain/verify.ts";
import type { Schedule } from "./store.ts";

/** The routing service: answers from the schedule, which is laid out once. */
export function routingService({ ports, lines }: Schedule): Implementation<typeof Routing> {
  const network = createNetwork(lines);
  return {
    routes: (ctx, { origin, destination, deadline, limit }) => {
      const request = { origin, destination, deadline: fromIso(deadline), limit };
      const outcome = findRoutes(network, request, ctx.clock.epoch());
      return outcome.kind === "routes" ? { kind: "routes", routes: outcome.routes.map(legsToWire) } : outcome;
    },

    async *offers(ctx, { origin, destination, deadline, limit }) {
      const request = { origin, destination, deadline: fromIso(deadline), limit };
      const outcome = findRoutes(network, request, ctx.clock.epoch());
      if (outcome.kind === "routes")
        for (const route of outcome.routes) yield { kind: "route", legs: legsToWire(route) };
      else yield outcome;
    },

    verify: (_ctx, { legs }) => {
      const reason = whyNotSailed(network.byId, legsFromWire(legs));
      return reason === undefined ? { kind: "sailed" } : { kind: "not-sailed", reason };
    },

    voyage: (_ctx, { number }) => {
      const voyage = findVoyage(network.byId, number);
      if (voyage === undefined) return { kind: "unknown-voyage", number };
      const stretches = movements(voyage).map(({ from, to, departAt, arriveAt }) => ({
        from,
        to,
        departAt: toIso(departAt),
        arriveAt: toIso(arriveAt),
      }));
      return { kind: "found", voyage: { number, carrier: voyage.line.carrier, movements: stretches } };
    },

    ports: (_ctx, { query, country, limit }) => ({ ports: searchPorts(ports, { query, country, limit }) }),
  };
}
