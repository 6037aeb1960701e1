import { join } from "node:path";
import { Booking } from "../booking/contract.ts";
import { Shipping } from "../gateway/contract.ts";
import { Handling } from "../handling/contract.ts";
import { Routing } from "../routing/contract.ts";
import { Tracking } from "../tracking/contract.ts";
import type { ServiceSpec } from "./fleet.ts";
import { toEnvironment } from "./settings.ts";

const routingReplicas = 3;

/**
 * The services of the system, callers before those they call: the order in which they are stopped.
 *
 * @param env - for all of them.
 */
export function shippingServices(
  folder: string,
  seed: number,
  gatewayPort: number,
  env: Readonly<Record<string, string>> = {},
): ServiceSpec[] {
  const settings = { data: join(folder, "data"), registry: join(folder, "registry"), seed, port: 0 };
  const service = (name: string, contract: { readonly name: string }, replicas = 1, own = settings): ServiceSpec => ({
    name,
    file: join(import.meta.dirname, "..", name, "main.ts"),
    contract: contract.name,
    replicas,
    env: {
      ...toEnvironment(own),
      // A line a call would fill the disk of who leaves the system running.
      LOG_LEVEL: process.env["LOG_LEVEL"] ?? "info,calls=warn",
      ...env,
    },
  });
  return [
    service("gateway", Shipping, 1, { ...settings, port: gatewayPort }),
    service("handling", Handling),
    service("booking", Booking),
    service("tracking", Tracking),
    service("routing", Routing, routingReplicas),
  ];
}
