import type { Clock } from "flotilla/clock";
import { background, sleep, withCancel } from "flotilla/context";
import { integer, pick, type Random, seededRandom } from "../kernel/random.ts";
import { startArrivals } from "../runtime/arrivals.ts";
import { createApi, Disappointed } from "./api.ts";
import { Closing, changeMind, goAstray, ship, type World } from "./customer.ts";
import type { Ledger } from "./ledger.ts";
import { mistakes } from "./mistakes.ts";

/** What {@link startCustomers} is told. */
export interface CustomersOptions {
  readonly gateway: string;
  /** New customers a second. */
  readonly rate: number;
  readonly seed: number;
  /** Where what they experience is entered. */
  readonly ledger: Ledger;
  readonly clock: Clock;
}

/** Customers coming and going. */
export interface Customers {
  /** No new ones; those there finish the request they are at and leave. */
  close(): Promise<void>;
}

/** Customers at a time; whoever comes when it is full is turned away, and counted. */
const maxCustomers = 2000;

/** Lets customers come at the gateway, at a rate that does not depend on how they are served. */
export async function startCustomers({ gateway, rate, seed, ledger, clock }: CustomersOptions): Promise<Customers> {
  const api = createApi(gateway, ledger, clock);
  const open = withCancel(background(clock));
  const present = new Set<Promise<void>>();
  const { ports } = await api.send<{ ports: { code: string }[] }>("GET", "/ports?limit=500", undefined, 200);

  function worldOf(random: Random): World {
    const think = async () => {
      await sleep(open, integer(random, 20, 400)).catch(() => {});
      if (open.err !== undefined) throw new Closing();
    };
    return { api, ledger, random, ports: ports.map((port) => port.code), now: () => clock.epoch(), think };
  }

  async function visit(random: Random): Promise<void> {
    try {
      await errand(random)(worldOf(random));
      ledger.customers.finished++;
    } catch (error) {
      // Disappointed customers are in the ledger; those who went home at closing time are no loss.
      if (!(error instanceof Disappointed) && !(error instanceof Closing)) throw error;
    }
  }

  let number = 0;
  const arrivals = startArrivals(rate, seededRandom(seed), clock, () => {
    if (present.size >= maxCustomers) {
      ledger.customers.turnedAway++;
      return;
    }
    ledger.customers.started++;
    const visiting = visit(seededRandom(seed + ++number)).finally(() => present.delete(visiting));
    present.add(visiting);
  });

  return {
    close: async () => {
      arrivals.stop();
      open.cancel();
      await Promise.all(present);
    },
  };
}

/** What somebody comes for. */
function errand(random: Random): (world: World) => Promise<unknown> {
  const share = random();
  if (share < 0.7) return ship;
  if (share < 0.78) return goAstray;
  if (share < 0.85) return changeMind;
  return pick(random, Object.values(mistakes));
}
