import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { channel, client, host, implement, serverDefaults } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { Booking } from "../booking/contract.ts";
import { Handling } from "../handling/contract.ts";
import { Routing } from "../routing/contract.ts";
import { reportsToLauncher } from "../runtime/reports.ts";
import { readSettings } from "../runtime/settings.ts";
import { Tracking } from "../tracking/contract.ts";
import { Shipping } from "./contract.ts";
import { gatewayService } from "./service.ts";

const settings = readSettings();
const registry = embedded({ dir: settings.registry });
const observed = telemetry({ service: "gateway", metrics: { histograms: "exponential" } });

const contexts = channel({ discover: registry, telemetry: observed });
const service = gatewayService({
  booking: client(Booking, contexts),
  routing: client(Routing, contexts),
  handling: client(Handling, contexts),
  tracking: client(Tracking, contexts),
});

await host({
  name: "gateway",
  serve: [implement(Shipping, service)],
  listen: [http({ port: settings.port })],
  telemetry: observed,
  // What a host does by default, written out: refuses what it could only do too late, and what is too much.
  use: serverDefaults(),
  register: registry,
  tasks: { reports: reportsToLauncher(observed) },
  close: [contexts],
}).run();
