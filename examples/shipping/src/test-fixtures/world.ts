import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "flotilla/clock";
import { embedded } from "flotilla/discovery";
import { until } from "flotilla/testing";
import { createApi } from "../driver/api.ts";
import { ship, type World } from "../driver/customer.ts";
import { createLedger, type Ledger, summary } from "../driver/ledger.ts";
import { seededRandom } from "../kernel/random.ts";
import { Routing } from "../routing/contract.ts";
import { type Child, startChild } from "../runtime/child.ts";
import { Fleet } from "../runtime/fleet.ts";
import { shippingServices } from "../runtime/services.ts";
import { toEnvironment } from "../runtime/settings.ts";
import { Mirror } from "./mirror.ts";
import type { OtherOptions } from "./other-routing.ts";

/** Another routing service than those of the fleet. */
export interface Other {
  readonly address: string;
  /** Tells it to stop, and waits until it has, well. */
  stop(): Promise<void>;
}

/** The whole system in processes of its own, with a proxy in front of each replica of routing. */
export interface ProxiedSystem {
  readonly fleet: Fleet;
  /** What stands in front of routing. */
  readonly mirror: Mirror;
  readonly gateway: string;
  /** Customers like those of `npm start`: each ships so many cargos. Gives what went wrong. */
  customers(count: number, cargos: number): Promise<Ledger>;
  /** Starts another routing service on the same timetable. */
  startOther(name: string, options: OtherOptions): Promise<Other>;
  /** Ends all. @throws Error when something did not end well. */
  stop(): Promise<void>;
}

/** Starts it, and waits until all is found. */
export async function startProxiedSystem(): Promise<ProxiedSystem> {
  const folder = mkdtempSync(join(tmpdir(), "shipping-proxied-"));
  const [front, behind] = [join(folder, "registry"), join(folder, "behind")];
  const found = embedded({ dir: front });
  const own = embedded({ dir: behind });
  const mirror = new Mirror(Routing.name, own, found);
  const specs = shippingServices(folder, 1, 0).map((spec) =>
    spec.name === "routing" ? { ...spec, env: { ...spec.env, SHIPPING_REGISTRY: behind } } : spec,
  );
  const fleet = new Fleet({
    services: specs,
    registry: {
      watch: (service, observer) => (service === Routing.name ? own : found).watch(service, observer),
    },
    logs: folder,
    tell() {},
  });
  const others = new Set<Child>();
  const stop = async (): Promise<void> => {
    const troubles = await fleet.stop();
    for (const other of others) await other.stop(10_000);
    await mirror.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    if (troubles.length > 0) throw new Error(troubles.join("\n"));
  };
  try {
    await fleet.start();
    // Each by HTTP and by gRPC.
    await until("all replicas of routing are found", () => mirror.all.length === 3 && mirror.addresses === 6);
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
  const [gateway = ""] = fleet.addresses("gateway");

  const customers = async (count: number, cargos: number): Promise<Ledger> => {
    const ledger = createLedger();
    const api = createApi(gateway, ledger, systemClock);
    const { ports } = await api.send<{ ports: { code: string }[] }>("GET", "/ports?limit=500", undefined, 200);
    const worldOf = (seed: number): World => ({
      api,
      ledger,
      random: seededRandom(seed),
      ports: ports.map(({ code }) => code),
      now: () => systemClock.epoch(),
      think: async () => {},
    });
    const shopping = async (seed: number): Promise<void> => {
      const world = worldOf(seed);
      for (let i = 0; i < cargos; i++) await ship(world);
    };
    // Who is disappointed stays away; the ledger knows why.
    await Promise.allSettled(Array.from({ length: count }, (_, i) => shopping(i + 1)));
    return ledger;
  };

  const startOther = async (name: string, options: OtherOptions): Promise<Other> => {
    const log = join(folder, `${name}.log`);
    const settings = { data: join(folder, "data"), registry: front, seed: 1, port: 0 };
    const child = startChild({
      name,
      file: join(import.meta.dirname, "other-routing.ts"),
      env: { ...toEnvironment(settings), OTHER_ROUTING: JSON.stringify(options) },
      log,
    });
    others.add(child);
    const started = (): string | undefined => / at (https?:[^\s,]+), admin/.exec(readFileSync(log, "utf8"))?.[1];
    await until(`${name} has started`, () => started() !== undefined || !child.running);
    const address = started();
    if (address === undefined) throw new Error(`${name} did not start:\n${child.lastWords()}`);
    return {
      address,
      async stop() {
        others.delete(child);
        const { code, signal } = await child.stop(10_000);
        if (code !== 0) throw new Error(`${name} ended with ${code ?? signal}:\n${child.lastWords()}`);
      },
    };
  };
  return { fleet, mirror, gateway, customers, startOther, stop };
}

/** What went wrong for customers, in words. */
export function failuresOf(ledger: Ledger): readonly unknown[] {
  return summary(ledger).failures;
}
