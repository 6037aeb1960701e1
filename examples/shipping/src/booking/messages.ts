import type { Context } from "flotilla/context";
import type { Client } from "flotilla/contract";
import type { Message } from "../kernel/outbox.ts";
import { toIso } from "../kernel/time.ts";
import { legsToWire } from "../kernel/wire.ts";
import type { Tracking } from "../tracking/contract.ts";
import type { Cargo } from "./domain/cargo.ts";

/** Tells tracking what booking decided, out of a message of the outbox. */
export function toTracking(tracking: Pick<Client<typeof Tracking>, "cargoChanged">) {
  return (ctx: Context, { body }: Message): Promise<unknown> => {
    const { trackingId, specification, itinerary, version } = JSON.parse(body) as Cargo;
    const { origin, destination, deadline } = specification;
    const legs = itinerary === undefined ? undefined : legsToWire(itinerary);
    return tracking.cargoChanged(ctx, { trackingId, origin, destination, deadline: toIso(deadline), legs, version });
  };
}
