import type { Client, Implementation } from "flotilla/contract";
import { type Code, errorInfo, ServiceError } from "flotilla/errors";
import type { Booking } from "../booking/contract.ts";
import type { Handling } from "../handling/contract.ts";
import type { Routing } from "../routing/contract.ts";
import type { Tracking } from "../tracking/contract.ts";
import type { Shipping } from "./contract.ts";

/** The contexts behind the gateway. */
export interface GatewayDeps {
  readonly booking: Client<typeof Booking>;
  readonly routing: Client<typeof Routing>;
  readonly handling: Client<typeof Handling>;
  readonly tracking: Client<typeof Tracking>;
}

/** The gateway: one REST resource out of several contexts, and business outcomes as HTTP says them. */
export function gatewayService({ booking, routing, handling, tracking }: GatewayDeps): Implementation<typeof Shipping> {
  return {
    book: async (ctx, order) => {
      const outcome = await booking.book(ctx, order);
      return outcome.kind === "booked" ? outcome.cargo : refuse(outcome);
    },

    cargo: async (ctx, { id }) => {
      const outcome = await booking.cargo(ctx, { trackingId: id });
      return outcome.kind === "found" ? outcome.cargo : refuse(outcome);
    },

    routes: async (ctx, { id, limit }) => {
      const found = await booking.cargo(ctx, { trackingId: id });
      if (found.kind !== "found") return refuse(found);
      const { origin, destination, deadline } = found.cargo;
      const outcome = await routing.routes(ctx, { origin, destination, deadline, limit });
      if (outcome.kind !== "routes") return refuse(outcome);
      return { routes: outcome.routes.map((legs) => ({ arrival: legs.at(-1)?.unloadAt ?? deadline, legs })) };
    },

    async *offers(ctx, { id, limit }) {
      const found = await booking.cargo(ctx, { trackingId: id });
      if (found.kind !== "found") return refuse(found);
      const { origin, destination, deadline } = found.cargo;
      for await (const offer of routing.offers(ctx, { origin, destination, deadline, limit })) {
        if (offer.kind !== "route") return refuse(offer);
        yield { arrival: offer.legs.at(-1)?.unloadAt ?? deadline, legs: offer.legs };
      }
    },

    assignRoute: async (ctx, { id, legs }) => {
      const outcome = await booking.assignRoute(ctx, { trackingId: id, legs });
      return outcome.kind === "assigned" ? outcome.cargo : refuse(outcome);
    },

    changeDestination: async (ctx, { id, destination }) => {
      const outcome = await booking.changeDestination(ctx, { trackingId: id, destination });
      return outcome.kind === "changed" ? outcome.cargo : refuse(outcome);
    },

    registerHandling: async (ctx, report) => {
      const outcome = await handling.register(ctx, report);
      return outcome.kind === "registered" || outcome.kind === "already-registered" ? outcome.event : refuse(outcome);
    },

    track: async (ctx, { id }) => {
      const outcome = await tracking.track(ctx, { trackingId: id });
      return outcome.kind === "tracked" ? outcome.delivery : refuse(outcome);
    },

    ports: (ctx, query) => routing.ports(ctx, query),

    voyage: async (ctx, { number }) => {
      const outcome = await routing.voyage(ctx, { number });
      return outcome.kind === "found" ? outcome.voyage : refuse(outcome);
    },
  };
}

/** What a business outcome is to a caller from outside: a code and, in words, why. */
const refusals: Readonly<Record<string, readonly [Code, string]>> = {
  "unknown-location": ["invalid_argument", "{location} is not a port that is served"],
  "same-origin-and-destination": ["invalid_argument", "origin and destination are the same port"],
  "deadline-past": ["invalid_argument", "the deadline lies in the past"],
  "unknown-cargo": ["not_found", "there is no cargo {trackingId}"],
  "unfit-itinerary": ["failed_precondition", "the itinerary does not fit: {reason}"],
  "unknown-voyage": ["not_found", "there is no voyage {voyage}{number}"],
  "conflicting-event": ["already_exists", "another event was registered as {eventId}"],
  "voyage-required": ["invalid_argument", "{type} needs a voyage"],
  "voyage-not-allowed": ["invalid_argument", "{type} has nothing to do with a voyage"],
  "implausible-time": ["invalid_argument", "completedAt lies too far from now"],
  "not-a-call": ["invalid_argument", "voyage {voyage} does not call at {location}"],
  "already-claimed": ["failed_precondition", "cargo {trackingId} was handed over already"],
};

/** Fails the call with what the outcome means. */
function refuse(outcome: { readonly kind: string }): never {
  const [code, text] = refusals[outcome.kind] ?? (["internal", `unexpected outcome ${outcome.kind}`] as const);
  const values = outcome as unknown as Readonly<Record<string, string | undefined>>;
  const message = text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
  throw new ServiceError(code, message, {
    details: [errorInfo({ reason: outcome.kind.toUpperCase().replaceAll("-", "_"), domain: "shipping.example" })],
  });
}
