import { join } from "node:path";
import { systemClock } from "flotilla/clock";
import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { channel, client, host, implement } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { Booking } from "../booking/contract.ts";
import { Routing } from "../routing/contract.ts";
import { createRelay } from "../runtime/relay.ts";
import { reportsToLauncher } from "../runtime/reports.ts";
import { servedPorts } from "../runtime/served-ports.ts";
import { readSettings } from "../runtime/settings.ts";
import { Tracking } from "../tracking/contract.ts";
import { Handling } from "./contract.ts";
import { toTracking } from "./messages.ts";
import { handlingService } from "./service.ts";
import { openHandlingStore } from "./store.ts";

const settings = readSettings();
const registry = embedded({ dir: settings.registry });
const observed = telemetry({ service: "handling", metrics: { histograms: "exponential" } });

const contexts = channel({ discover: registry, telemetry: observed });
const booking = client(Booking, contexts);
const routing = client(Routing, contexts);
const tracking = client(Tracking, contexts);

const store = openHandlingStore(join(settings.data, "handling.db"));
const relay = createRelay({ outbox: store.outbox, deliver: toTracking(tracking), clock: systemClock });
const service = handlingService({ store, relay, booking, routing, served: servedPorts(routing) });

await host({
  name: "handling",
  serve: [implement(Handling, service)],
  listen: [http({ port: settings.port })],
  telemetry: observed,
  register: registry,
  tasks: { reports: reportsToLauncher(observed) },
  close: [store, contexts, relay],
}).run();
