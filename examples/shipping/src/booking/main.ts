import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "flotilla/clock";
import { embedded } from "flotilla/discovery";
import { grpcClient } from "flotilla/grpc";
import { http } from "flotilla/http";
import { channel, client, host, implement } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { Routing } from "../routing/contract.ts";
import { createRelay } from "../runtime/relay.ts";
import { reportsToLauncher } from "../runtime/reports.ts";
import { servedPorts } from "../runtime/served-ports.ts";
import { readSettings } from "../runtime/settings.ts";
import { Tracking } from "../tracking/contract.ts";
import { Booking } from "./contract.ts";
import { toTracking } from "./messages.ts";
import { bookingService } from "./service.ts";
import { openCargoStore } from "./store.ts";

const settings = readSettings();
const registry = embedded({ dir: settings.registry });
const observed = telemetry({ service: "booking", metrics: { histograms: "exponential" } });

const contexts = channel({ discover: registry, telemetry: observed });
// Asked most of all, and by few: one connection to each replica carries it. The others of the system call it over HTTP, on the same port.
const overGrpc = channel({ discover: registry, transport: grpcClient(), telemetry: observed });
const routing = client(Routing, overGrpc);
const tracking = client(Tracking, contexts);

const store = openCargoStore(join(settings.data, "booking.db"));
const relay = createRelay({ outbox: store.outbox, deliver: toTracking(tracking), clock: systemClock });
const random = () => randomBytes(4).readUInt32LE() / 2 ** 32;
const service = bookingService({ store, relay, routing, served: servedPorts(routing), random });

await host({
  name: "booking",
  serve: [implement(Booking, service)],
  listen: [http({ port: settings.port })],
  telemetry: observed,
  register: registry,
  tasks: { reports: reportsToLauncher(observed) },
  close: [store, contexts, overGrpc, relay],
}).run();
