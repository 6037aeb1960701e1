import type { Implementation } from "flotilla/contract";
import type { z } from "zod";
import { fromIso, toIso } from "../kernel/time.ts";
import { legsFromWire } from "../kernel/wire.ts";
import type { delivery as deliverySchema, Tracking } from "./contract.ts";
import { type Delivery, deliveryOf } from "./domain/delivery.ts";
import type { TrackedCargo } from "./domain/tracked-cargo.ts";
import type { TrackingStore } from "./store.ts";

/** The tracking service: keeps what it is told, and works the delivery out when asked. */
export function trackingService(store: TrackingStore): Implementation<typeof Tracking> {
  return {
    track: (_ctx, { trackingId }) => {
      const cargo = store.findCargo(trackingId);
      if (cargo === undefined) return { kind: "unknown-cargo", trackingId };
      const { destination, itinerary } = cargo;
      const delivery = deliveryOf({ destination, itinerary, events: store.events(trackingId) });
      return { kind: "tracked", delivery: toWire(cargo, delivery) };
    },

    cargoChanged: (_ctx, { legs, deadline, ...cargo }) => {
      const itinerary = legs === undefined ? undefined : legsFromWire(legs);
      store.keepCargo({ ...cargo, deadline: fromIso(deadline), itinerary });
      return {};
    },

    cargoHandled: (_ctx, { trackingId, event }) => {
      const { voyage, completedAt, ...rest } = event;
      store.keepEvent(trackingId, { ...rest, voyage, completedAt: fromIso(completedAt) });
      return {};
    },
  };
}

function toWire(cargo: TrackedCargo, delivery: Delivery): z.infer<typeof deliverySchema> {
  const { trackingId, origin, destination, deadline } = cargo;
  const { transport, misdirected, arrived, lastKnownLocation, currentVoyage, eta, nextExpected, lastEvent } = delivery;
  return {
    trackingId,
    origin,
    destination,
    deadline: toIso(deadline),
    transport,
    lastKnownLocation,
    currentVoyage,
    misdirected,
    arrived,
    eta: eta === undefined ? undefined : toIso(eta),
    nextExpected,
    lastEvent: lastEvent && { ...lastEvent, completedAt: toIso(lastEvent.completedAt) },
  };
}
