import type { Context } from "flotilla/context";
import type { Client } from "flotilla/contract";
import type { Message } from "../kernel/outbox.ts";
import { toIso } from "../kernel/time.ts";
import type { Tracking } from "../tracking/contract.ts";
import type { HandlingEvent } from "./domain/handling-event.ts";

/** Tells tracking what happened to a cargo, out of a message of the outbox. */
export function toTracking(tracking: Pick<Client<typeof Tracking>, "cargoHandled">) {
  return (ctx: Context, { body }: Message): Promise<unknown> => {
    const { eventId, trackingId, type, location, voyage, completedAt } = JSON.parse(body) as HandlingEvent;
    const event = { eventId, type, location, voyage, completedAt: toIso(completedAt) };
    return tracking.cargoHandled(ctx, { trackingId, event });
  };
}
