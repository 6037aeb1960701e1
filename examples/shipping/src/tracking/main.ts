import { join } from "node:path";
import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { reportsToLauncher } from "../runtime/reports.ts";
import { readSettings } from "../runtime/settings.ts";
import { Tracking } from "./contract.ts";
import { trackingService } from "./service.ts";
import { openTrackingStore } from "./store.ts";

const settings = readSettings();
const observed = telemetry({ service: "tracking", metrics: { histograms: "exponential" } });
const store = openTrackingStore(join(settings.data, "tracking.db"));

await host({
  name: "tracking",
  serve: [implement(Tracking, trackingService(store))],
  listen: [http({ port: settings.port })],
  telemetry: observed,
  register: embedded({ dir: settings.registry }),
  tasks: { reports: reportsToLauncher(observed) },
  close: [store],
}).run();
