import { join } from "node:path";
import { embedded } from "flotilla/discovery";
import { grpc } from "flotilla/grpc";
import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { reportsToLauncher } from "../runtime/reports.ts";
import { readSettings } from "../runtime/settings.ts";
import { Routing } from "./contract.ts";
import { drawUpSchedule } from "./schedule.ts";
import { routingService } from "./service.ts";
import { openScheduleStore } from "./store.ts";

const settings = readSettings();
const observed = telemetry({ service: "routing", metrics: { histograms: "exponential" } });
const store = openScheduleStore(join(settings.data, "routing.db"));
const schedule = store.schedule(settings.seed, () => drawUpSchedule(settings.seed));

await host({
  name: "routing",
  serve: [implement(Routing, routingService(schedule))],
  listen: [http({ port: settings.port, protocols: [grpc()] })],
  telemetry: observed,
  register: embedded({ dir: settings.registry }),
  tasks: { reports: reportsToLauncher(observed) },
  close: [store],
}).run();
