import type { Context } from "flotilla/context";
import type { Client, Implementation } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import type { z } from "zod";
import type { Booking } from "../booking/contract.ts";
import { fromIso, toIso } from "../kernel/time.ts";
import type { UnLocode } from "../kernel/un-locode.ts";
import type { Routing } from "../routing/contract.ts";
import type { Relay } from "../runtime/relay.ts";
import type { ServedPorts } from "../runtime/served-ports.ts";
import type { Handling, handlingEvent } from "./contract.ts";
import { type HandlingEvent, type HandlingReport, registerHandling } from "./domain/handling-event.ts";
import type { HandlingStore } from "./store.ts";

/** What handling works with. */
export interface HandlingDeps {
  readonly store: HandlingStore;
  readonly relay: Pick<Relay, "attempt">;
  readonly booking: Pick<Client<typeof Booking>, "cargo">;
  readonly routing: Pick<Client<typeof Routing>, "voyage">;
  readonly served: ServedPorts;
}

/** Voyages whose calls are remembered. They never change; the limit is one of memory. */
const maxVoyages = 2000;
const maxTries = 3;

/** The handling service: gathers the facts, asks the domain, appends, tells tracking. */
export function handlingService(deps: HandlingDeps): Implementation<typeof Handling> {
  const { store, relay, booking, served } = deps;
  const callsOf = voyageCalls(deps.routing);

  async function facts(ctx: Context, report: HandlingReport) {
    const [cargo, calls, ports] = await Promise.all([
      booking.cargo(ctx, { trackingId: report.trackingId }),
      report.voyage === undefined ? undefined : callsOf(ctx, report.voyage),
      served(ctx),
    ]);
    return { cargoExists: cargo.kind === "found", locationExists: ports.has(report.location), voyageCalls: calls };
  }

  return {
    register: async (ctx, { voyage, ...rest }) => {
      const report: HandlingReport = { ...rest, voyage, completedAt: fromIso(rest.completedAt) };
      const world = await facts(ctx, report);
      for (let i = 0; i < maxTries; i++) {
        const known = store.find(report.eventId);
        const claimed = store.isClaimed(report.trackingId);
        const outcome = registerHandling(report, { ...world, known, claimed, now: ctx.clock.epoch() });
        if (outcome.kind === "already-registered") return { kind: outcome.kind, event: toWire(outcome.event) };
        if (outcome.kind !== "registered") return outcome;
        const message = store.append(outcome.event);
        if (message === undefined) continue;
        await relay.attempt(message);
        return { kind: "registered", event: toWire(outcome.event) };
      }
      throw new ServiceError("aborted", `event ${report.eventId} is being registered by others: try again`);
    },
  };
}

/** Asks routing for the ports a voyage calls at, once a voyage. */
function voyageCalls(routing: HandlingDeps["routing"]) {
  const known = new Map<string, readonly UnLocode[]>();
  return async (ctx: Context, number: string): Promise<readonly UnLocode[] | undefined> => {
    const calls = known.get(number);
    if (calls !== undefined) return calls;
    const outcome = await routing.voyage(ctx, { number });
    if (outcome.kind === "unknown-voyage") return undefined;
    const { movements } = outcome.voyage;
    const found = [...movements.map((one) => one.from), ...movements.slice(-1).map((one) => one.to)];
    const oldest = known.keys().next();
    if (known.size >= maxVoyages && !oldest.done) known.delete(oldest.value);
    known.set(number, found);
    return found;
  };
}

function toWire({ voyage, ...event }: HandlingEvent): z.infer<typeof handlingEvent> {
  return {
    ...event,
    completedAt: toIso(event.completedAt),
    registeredAt: toIso(event.registeredAt),
    ...(voyage !== undefined && { voyage }),
  };
}
