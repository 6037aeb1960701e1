import { join } from "node:path";
import { type Clock, systemClock, type Timer } from "flotilla/clock";
import { embedded } from "flotilla/discovery";
import { Booking } from "../booking/contract.ts";
import { createApi } from "../driver/api.ts";
import { startCustomers } from "../driver/customers.ts";
import { exhibit, invitations } from "../driver/exhibit.ts";
import { createLedger, type Ledger, summary } from "../driver/ledger.ts";
import { Shipping } from "../gateway/contract.ts";
import { Handling } from "../handling/contract.ts";
import { Routing } from "../routing/contract.ts";
import { Tracking } from "../tracking/contract.ts";
import type { Display } from "./display.ts";
import { Fleet, type ServiceSpec } from "./fleet.ts";
import { isFree } from "./free-port.ts";
import type { LauncherOptions } from "./options.ts";
import { createRates, type Rates } from "./rates.ts";
import { type RunReport, report } from "./report.ts";
import { toEnvironment } from "./settings.ts";
import type { View } from "./table.ts";

const usualPort = 8080;
const drawEveryMs = 500;
const routingReplicas = 3;

/**
 * Runs the system in processes of its own until the time is up, or it is told to end, and stops it in order.
 *
 * @param folder - where databases, registry and logs go; the caller removes it.
 * @throws Error when the system does not come up.
 */
export async function launch(
  options: LauncherOptions,
  folder: string,
  display: Display,
  end: Promise<void>,
  clock: Clock = systemClock,
): Promise<RunReport> {
  const registry = embedded({ dir: join(folder, "registry") });
  const port = await gatewayPort(options.port, display);
  const fleet = new Fleet({
    services: services(folder, options.seed, port),
    registry,
    logs: folder,
    tell: (happening) => display.say(happening),
  });
  const troubles: string[] = [];
  const ending = Promise.race([end, fleet.failed]).catch((error: Error) => void troubles.push(error.message));
  const ledger: Ledger = createLedger();
  const rates = createRates();
  const startedMs = clock.now();
  let seconds = 0;
  try {
    display.say("starting booking, handling, tracking, three replicas of routing, and the gateway ...");
    const up = await Promise.race([fleet.start().then(() => true), ending.then(() => false)]);
    const [gateway] = fleet.addresses("gateway");
    if (up && gateway !== undefined) {
      display.say(
        `all up after ${((clock.now() - startedMs) / 1000).toFixed(1)} s; logs and databases are in ${folder}`,
      );
      const openedMs = clock.now();
      const invite = await invitation(gateway, ledger, clock);
      for (const line of invite) display.say(line);
      const customers = await startCustomers({ gateway, rate: options.rate, seed: options.seed, ledger, clock });
      await everySoOften(clock, Promise.race([ending, timeUp(clock, options.forMs)]), () => {
        display.show(view(gateway, fleet, ledger, rates, invite, clock));
      });
      seconds = (clock.now() - openedMs) / 1000;
      display.say("closing: the customers leave, then the services stop one after the other ...");
      await customers.close();
    }
  } finally {
    troubles.push(...(await fleet.stop()));
  }
  return report({ seed: options.seed, seconds, troubles }, summary(ledger), fleet.states());
}

/** The services, callers before those they call: the order in which they are stopped. */
function services(folder: string, seed: number, port: number): ServiceSpec[] {
  const settings = { data: join(folder, "data"), registry: join(folder, "registry"), seed, port: 0 };
  const service = (name: string, contract: { readonly name: string }, replicas = 1, own = settings): ServiceSpec => ({
    name,
    file: join(import.meta.dirname, "..", name, "main.ts"),
    contract: contract.name,
    replicas,
    env: toEnvironment(own),
  });
  return [
    service("gateway", Shipping, 1, { ...settings, port }),
    service("handling", Handling),
    service("booking", Booking),
    service("tracking", Tracking),
    service("routing", Routing, routingReplicas),
  ];
}

/** The port asked for; the usual one, or any when that is taken. */
async function gatewayPort(asked: number | undefined, display: Display): Promise<number> {
  if (asked !== undefined) {
    if (asked !== 0 && !(await isFree(asked))) throw new Error(`port ${asked} is taken: give another with --port`);
    return asked;
  }
  if (await isFree(usualPort)) return usualPort;
  display.say(`port ${usualPort} is taken; the gateway gets a free one`);
  return 0;
}

/** Lines to try; a cargo is put to sea for them. */
async function invitation(gateway: string, ledger: Ledger, clock: Clock): Promise<string[]> {
  const trackingId = await exhibit(createApi(gateway, ledger, clock), clock.epoch());
  return ["Try:", ...invitations(gateway, trackingId, clock.epoch()).map((line) => `  ${line}`)];
}

function view(
  gateway: string,
  fleet: Fleet,
  ledger: Ledger,
  rates: Rates,
  invite: readonly string[],
  clock: Clock,
): View {
  const { requests, failed, expectedRefusals, started, finished } = summary(ledger);
  const customers = `customers: ${started} came, ${finished} done; ${requests} requests, ${expectedRefusals} refused as they had to be, ${failed} failed`;
  return {
    title: `Shipping at ${gateway}   (Ctrl-C ends it)`,
    rows: fleet.states().map((state) => rates.row(state, clock.now())),
    notes: [customers, "", ...invite],
  };
}

/** Resolves when the time is up; never without one. */
function timeUp(clock: Clock, ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (ms !== undefined) clock.schedule(ms, resolve);
  });
}

/** Does something at once and then regularly, until the end. */
async function everySoOften(clock: Clock, end: Promise<void>, act: () => void): Promise<void> {
  let timer: Timer;
  const again = () => {
    act();
    timer = clock.schedule(drawEveryMs, again);
  };
  again();
  await end;
  timer!.cancel();
  act();
}
