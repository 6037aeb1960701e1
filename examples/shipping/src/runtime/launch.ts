import { join } from "node:path";
import { type Clock, systemClock } from "flotilla/clock";
import { embedded } from "flotilla/discovery";
import { createApi } from "../driver/api.ts";
import { startCustomers } from "../driver/customers.ts";
import { exhibit, invitations } from "../driver/exhibit.ts";
import { createLedger, type Ledger, summary } from "../driver/ledger.ts";
import { startCollector } from "./collector.ts";
import type { Display } from "./display.ts";
import { Fleet } from "./fleet.ts";
import { isFree } from "./free-port.ts";
import type { LauncherOptions } from "./options.ts";
import { type RunReport, report } from "./report.ts";
import { shippingServices } from "./services.ts";
import { startShow } from "./show.ts";

const usualPort = 8080;

/**
 * Runs the system in processes of its own until the time is up, or it is told to end, and stops it in order.
 *
 * @param folder - where databases, registry and logs go; the caller removes it.
 * @throws Error when the port asked for is taken. All else that goes wrong is in the report.
 */
export async function launch(
  options: LauncherOptions,
  folder: string,
  display: Display,
  end: Promise<void>,
  clock: Clock = systemClock,
): Promise<RunReport> {
  const { seed, rate, forMs } = options;
  const port = await gatewayPort(options.port, display);
  const collector = options.trace ? await startCollector() : undefined;
  const env = collector && { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: "500" };
  const fleet = new Fleet({
    services: shippingServices(folder, seed, port, env),
    registry: embedded({ dir: join(folder, "registry") }),
    logs: folder,
    tell: (happening) => display.say(happening),
    clock,
  });
  const ledger = createLedger();
  display.say("starting booking, handling, tracking, three replicas of routing, and the gateway ...");
  const show = startShow(display, fleet, ledger, clock, collector);
  const startedMs = clock.now();
  const elapsed = () => (clock.now() - startedMs) / 1000;
  const troubles: string[] = [];
  let seconds = 0;
  const ending = Promise.race([end, fleet.failed]);
  try {
    const up = await Promise.race([fleet.start().then(() => true), ending.then(() => false)]);
    if (up) {
      const [gateway = ""] = fleet.addresses("gateway");
      display.say(`all up after ${elapsed().toFixed(1)} s; logs and databases are in ${folder}`);
      const upSeconds = elapsed();
      show.open(gateway, await invitation(gateway, ledger, clock));
      const customers = await startCustomers({ gateway, rate, seed, ledger, clock });
      await Promise.race([ending, timeUp(clock, forMs)]).catch((error: unknown) => {
        troubles.push((error as Error).message);
      });
      seconds = elapsed() - upSeconds;
      show.close();
      display.say("closing: the customers leave, then the services stop, callers first ...");
      await customers.close();
    }
  } catch (error) {
    troubles.push((error as Error).message);
  }
  show.close();
  troubles.push(...(await fleet.stop()));
  show.end();
  await collector?.close();
  return report({ seed, seconds, troubles }, summary(ledger), fleet.states());
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

/** Resolves when the time is up; never without one. */
function timeUp(clock: Clock, ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    // Told to end before, nobody waits for it.
    if (ms !== undefined) clock.schedule(ms, resolve).unref();
  });
}
