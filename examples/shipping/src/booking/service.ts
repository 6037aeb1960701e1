import type { Context } from "flotilla/context";
import type { Client, Implementation } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import type { z } from "zod";
import type { Random } from "../kernel/random.ts";
import { fromIso, toIso } from "../kernel/time.ts";
import { legsFromWire, legsToWire } from "../kernel/wire.ts";
import type { Routing } from "../routing/contract.ts";
import type { Relay } from "../runtime/relay.ts";
import type { ServedPorts } from "../runtime/served-ports.ts";
import type { Booking, cargo as cargoSchema } from "./contract.ts";
import { assignItinerary, bookCargo, type Cargo, changeDestination, routingStatus } from "./domain/cargo.ts";
import { newTrackingId } from "./domain/tracking-id.ts";
import type { CargoStore } from "./store.ts";

/** What booking works with. */
export interface BookingDeps {
  readonly store: CargoStore;
  readonly relay: Pick<Relay, "attempt">;
  readonly routing: Pick<Client<typeof Routing>, "verify">;
  readonly served: ServedPorts;
  readonly random: Random;
}

/** A change is tried so often when others change the same cargo in between. */
const maxTries = 5;

/** Topic of all messages: a cargo was booked or changed. */
const cargoChanged = "cargo-changed";

/** The booking service: loads, asks the domain, saves, tells tracking. */
export function bookingService({ store, relay, routing, served, random }: BookingDeps): Implementation<typeof Booking> {
  async function keep(cargo: Cargo): Promise<boolean> {
    const message = store.save(cargo, cargoChanged);
    if (message === undefined) return false;
    await relay.attempt(message);
    return true;
  }

  /** Decides on the cargo as it is, and decides anew if it was changed meanwhile. */
  async function change<Outcome extends { kind: string; cargo?: Cargo }>(
    trackingId: string,
    decide: (cargo: Cargo) => Outcome,
  ): Promise<Outcome | { kind: "unknown-cargo"; trackingId: string }> {
    for (let i = 0; i < maxTries; i++) {
      const cargo = store.find(trackingId);
      if (cargo === undefined) return { kind: "unknown-cargo", trackingId };
      const outcome = decide(cargo);
      const changed = outcome.cargo;
      if (changed === undefined || changed.version === cargo.version || (await keep(changed))) return outcome;
    }
    throw new ServiceError("aborted", `cargo ${trackingId} is being changed by others: try again`);
  }

  return {
    book: async (ctx, { origin, destination, deadline }) => {
      const ports = await served(ctx);
      for (let i = 0; i < maxTries; i++) {
        const facts = { trackingId: newTrackingId(random), isServed: (code: string) => ports.has(code), now: now(ctx) };
        const outcome = bookCargo({ origin, destination, deadline: fromIso(deadline) }, facts);
        if (outcome.kind !== "booked") return outcome;
        if (await keep(outcome.cargo)) return { kind: "booked", cargo: toWire(outcome.cargo) };
      }
      throw new ServiceError("internal", "no free tracking id was found");
    },

    cargo: (_ctx, { trackingId }) => {
      const cargo = store.find(trackingId);
      return cargo === undefined ? { kind: "unknown-cargo", trackingId } : { kind: "found", cargo: toWire(cargo) };
    },

    assignRoute: async (ctx, { trackingId, legs }) => {
      const sailed = await routing.verify(ctx, { legs });
      if (sailed.kind === "not-sailed") return { kind: "unfit-itinerary", reason: sailed.reason };
      const outcome = await change(trackingId, (cargo) => assignItinerary(cargo, legsFromWire(legs)));
      return outcome.kind === "assigned" ? { ...outcome, cargo: toWire(outcome.cargo) } : outcome;
    },

    changeDestination: async (ctx, { trackingId, destination }) => {
      const ports = await served(ctx);
      const facts = { isServed: (code: string) => ports.has(code), now: now(ctx) };
      const outcome = await change(trackingId, (cargo) => changeDestination(cargo, destination, facts));
      return outcome.kind === "changed" ? { ...outcome, cargo: toWire(outcome.cargo) } : outcome;
    },
  };
}

function now(ctx: Context): number {
  return ctx.clock.epoch();
}

function toWire(cargo: Cargo): z.infer<typeof cargoSchema> {
  const { trackingId, specification, itinerary, bookedAt, version } = cargo;
  return {
    trackingId,
    origin: specification.origin,
    destination: specification.destination,
    deadline: toIso(specification.deadline),
    bookedAt: toIso(bookedAt),
    routing: routingStatus(cargo),
    ...(itinerary !== undefined && { itinerary: legsToWire(itinerary) }),
    version,
  };
}
